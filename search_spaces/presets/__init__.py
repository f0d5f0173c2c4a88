"""Published networks as closed recipes. Train one by a search with --budget 1."""
