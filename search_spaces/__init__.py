"""The shipped search spaces, to use and to copy from."""
