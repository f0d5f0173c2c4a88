"""Disjoint sets of indices that are joined two at a time."""

from __future__ import annotations

__all__ = ["DisjointSets"]


class DisjointSets:
    """Union-find over `count` indices; the root of a set is its smallest index."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, index: int) -> int:
        """Return the root of the set of an index."""
        while self.parent[index] != index:
            self.parent[index] = self.parent[self.parent[index]]
            index = self.parent[index]
        return index

    def union(self, one: int, other: int) -> None:
        """Join the sets of two indices."""
        low, high = sorted((self.find(one), self.find(other)))
        self.parent[high] = low
