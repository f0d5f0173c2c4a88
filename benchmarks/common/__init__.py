"""Modules that all benchmarks share: argument types, result tables, provenance."""
