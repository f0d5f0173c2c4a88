"""The shipped search spaces: read one, copy it, change it."""
