"""Checks, each a function from an examined data set to findings."""
