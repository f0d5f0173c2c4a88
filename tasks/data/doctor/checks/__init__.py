"""The checks, each a function from what was seen of a set to findings."""
