"""Benchmarks: each command answers a question, prints a table and writes it to results/ with its provenance."""
