"""Sets of places that are joined two at a time."""

from __future__ import annotations

__all__ = ["Joined"]


class Joined:
    """Places that are joined to sets (union-find, with the first place as the root)."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def root(self, place: int) -> int:
        while self.parent[place] != place:
            self.parent[place] = self.parent[self.parent[place]]
            place = self.parent[place]
        return place

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self.parent[high] = low
