"""Errors for bad input."""

__all__ = ["MissingWeightsError", "UserError"]


class UserError(Exception):
    """Bad input.

    The message is one line that says what is wrong, where, and what to do. The command line prints it and exits with
    code 2.
    """


class MissingWeightsError(UserError):
    """Pretrained weights are neither on disk nor can they be downloaded."""
