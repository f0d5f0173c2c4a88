"""Asynchronous successive halving that takes stopped candidates up again."""

from __future__ import annotations

from nas.search.stopping.halving import AsyncHalving

__all__ = ["Promotion"]


class Promotion(AsyncHalving):
    """Halving in which nobody is stopped for good (ASHA as published, Li et al. 2020, algorithm 2).

    As more candidates are seen, more make up the best 1 / eta at a rung: those that by now belong to them train on
    from where they were stopped, before a new candidate is begun.
    """

    promotes = True
