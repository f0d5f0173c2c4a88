"""Importance of parameters and effects of their values in a finished search."""
