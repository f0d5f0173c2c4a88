"""Constraints of a space: which of them a candidate breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nas.space import Recipe

__all__ = ["broken_constraint", "warnings_of_baselines"]


def broken_constraint(space: Recipe, candidate: Recipe) -> int | None:
    """Number of the first constraint that a candidate breaks, or None."""
    tests: Iterable[tuple[int, Callable[[Recipe], bool]]] = enumerate(space.constraints)
    return next((i for i, test in tests if not test(candidate)), None)


def warnings_of_baselines(space: Recipe) -> list[str]:
    """A warning for each baseline that breaks a constraint of its own space, since it is trained all the same."""
    lines = []
    for i, baseline in enumerate(space.baselines):
        name = space.baseline_name(i)
        try:
            broken = broken_constraint(space, baseline.candidate())
        except Exception as error:  # constraints are user code
            lines.append(f"{name}: a constraint of the space fails on it ({error}); it is trained anyway")
            continue
        if broken is not None:
            lines.append(f"{name} does not meet constraint {broken} of the space; it is trained anyway")
    return lines
