"""Asynchronous Hyperband."""

from __future__ import annotations

import math

from nas.stopping.halving import AsyncHalving

__all__ = ["Hyperband"]


class Hyperband(AsyncHalving):
    """Asynchronous successive halving in brackets, some of which start at a later rung.

    Late starts protect candidates if early rungs mislead. In bracket b, every candidate passes the first b rungs; the
    last bracket never stops any. Trial numbers are assigned to brackets in Hyperband's proportions (Li et al. 2018,
    algorithm 1), evenly interleaved. Decisions are asynchronous (Li et al. 2020, section 3.3).

    All brackets share the scores of a rung. This is valid because a score does not depend on the bracket, and useful
    because a single bracket has few candidates to compare with. The drawback: candidates of later brackets compete with
    survivors of earlier ones, so fewer than 1 / eta of them pass.
    """

    def __init__(self, rungs: tuple[int, ...], eta: int = 3) -> None:
        super().__init__(rungs, eta)
        self._cycle = _bracket_cycle(len(rungs), eta)

    def bracket(self, number: int) -> int:
        """Return the index of the first rung at which a trial may be stopped."""
        return self._cycle[number % len(self._cycle)]

    def passes(self, number: int, rung: int, value: float) -> bool:
        return self.rungs.index(rung) < self.bracket(number) or super().passes(number, rung, value)


def _bracket_cycle(brackets: int, eta: int) -> list[int]:
    """Return the brackets of consecutive trials, which repeat: each bracket evenly spread over the cycle."""
    halvings = [brackets - 1 - b for b in range(brackets)]
    sizes = [math.ceil(brackets * eta**s / (s + 1)) for s in halvings]
    positions = [((i + 0.5) / size, b) for b, size in enumerate(sizes) for i in range(size)]
    return [b for _, b in sorted(positions)]
