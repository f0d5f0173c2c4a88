"""What all benchmarks share: arguments, rows of results, provenance."""
