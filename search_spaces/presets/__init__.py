"""Networks as published, each a closed recipe: training one is a search with --budget 1."""
