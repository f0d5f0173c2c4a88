"""Modules that the benchmarks of samplers share: tables of trained networks, searchers, reports."""
