"""Brackets of asynchronous halving that begin at different rungs."""

from __future__ import annotations

import math

from nas.stopping.halving import AsyncHalving

__all__ = ["Hyperband"]


class Hyperband(AsyncHalving):
    """Halving that begins at a later rung for some candidates, in case the early rungs mislead.

    Bracket b lets everyone on until its first rung, the b-th; the last bracket stops nobody. A trial's number says
    which bracket it belongs to, in Hyperband's proportions (Li et al. 2018, algorithm 1) and evenly mixed.
    Nothing waits (Li et al. 2020, section 3.3).

    All brackets compare with the same scores at a rung. That is sound, because a score after so many steps means the
    same whatever bracket it was trained in, and numbers have nothing to do with scores; and it is of use, because a
    bracket of its own would be compared with a few candidates only. It has a price: later brackets meet the
    survivors of earlier ones, so fewer than 1 / eta of theirs go on.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        super().__init__(rungs, eta)
        self._deal = _deal(len(rungs), eta)

    def bracket(self, number: int) -> int:
        """The place of the first rung at which a trial may be stopped."""
        return self._deal[number % len(self._deal)]

    def passes(self, number: int, rung: int, value: float) -> bool:
        return self.rungs.index(rung) < self.bracket(number) or super().passes(number, rung, value)


def _deal(brackets: int, eta: int) -> list[int]:
    """The brackets of one round of numbers, each as evenly spread as its size allows."""
    halvings = [brackets - 1 - b for b in range(brackets)]
    sizes = [math.ceil(brackets * eta**s / (s + 1)) for s in halvings]
    places = [((i + 0.5) / size, b) for b, size in enumerate(sizes) for i in range(size)]
    return [b for _, b in sorted(places)]
