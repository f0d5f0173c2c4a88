"""The errors a user can cause: each carries one line that says what, where and what to do."""

__all__ = ["UserError"]


class UserError(Exception):
    """Bad input. The command line prints its message as one line and exits with code 2."""
