"""Early stopping: rules that decide at each rung whether a candidate continues."""

from __future__ import annotations

from collections.abc import Callable

from nas.errors import UserError
from nas.stopping.adaptive import AdaptiveHalving
from nas.stopping.curve import CurveRule
from nas.stopping.halving import AsyncHalving
from nas.stopping.hyperband import Hyperband
from nas.stopping.none import NoStopping
from nas.stopping.pareto import ParetoHalving
from nas.stopping.promotion import Promotion, next_promotion
from nas.stopping.rule import RungRule, StoppingRule, rungs_of

__all__ = [
    "STOPPING",
    "AdaptiveHalving",
    "AsyncHalving",
    "CurveRule",
    "Hyperband",
    "NoStopping",
    "ParetoHalving",
    "Promotion",
    "RungRule",
    "StoppingRule",
    "make_rule",
    "make_stopping",
    "next_promotion",
    "rungs_of",
]

STOPPING = ("halving", "promotion", "adaptive", "curve", "hyperband", "none")
"""Names of the stopping rules."""


def make_stopping(name: str, steps: int, seed: int) -> StoppingRule:
    """Create a stopping rule by name.

    Args:
        name: one of STOPPING.
        steps: number of steps of a full training.
        seed: seed of the rule's random decisions.

    Raises:
        UserError: if the rule is unknown.
    """
    return make_rule(name, rungs_of(steps), seed)


def make_rule(name: str, rungs: tuple[int, ...], seed: int) -> StoppingRule:
    """Create a stopping rule by name for given rungs.

    Args:
        name: one of STOPPING.
        rungs: steps, ascending.
        seed: seed of the rule's random decisions.

    Raises:
        UserError: if the rule is unknown.
    """
    makers: dict[str, Callable[[], StoppingRule]] = {
        "halving": lambda: AsyncHalving(rungs),
        "promotion": lambda: Promotion(rungs),
        "adaptive": lambda: AdaptiveHalving(rungs, seed),
        "curve": lambda: CurveRule(rungs),
        "hyperband": lambda: Hyperband(rungs),
        "none": lambda: NoStopping(rungs),
    }
    if name not in makers:
        raise UserError(f"--stopping {name}: unknown rule; choose from {', '.join(STOPPING)}")
    return makers[name]()
