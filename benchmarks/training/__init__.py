"""Modules that the benchmarks of trainings share: recipes, costs, reports."""
