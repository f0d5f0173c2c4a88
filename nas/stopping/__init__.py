"""Early stopping: at each rung a rule says whether a candidate trains on."""

from __future__ import annotations

from collections.abc import Callable

from nas.errors import UserError
from nas.stopping.adaptive import AdaptiveHalving
from nas.stopping.curve import CurveRule
from nas.stopping.halving import AsyncHalving
from nas.stopping.hyperband import Hyperband
from nas.stopping.none import NoStopping
from nas.stopping.pareto import ParetoHalving
from nas.stopping.promotion import Promotion, promoted
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
    "promoted",
    "rungs_of",
]

STOPPING = ("halving", "promotion", "adaptive", "curve", "hyperband", "none")
"""The names known."""


def make_stopping(name: str, steps: int, seed: int) -> StoppingRule:
    """The rule of that name, for full trainings of so many steps.

    Args:
        name: one of STOPPING.
        steps: of a full training.
        seed: of what a rule decides by chance.

    Raises:
        UserError: when there is none.
    """
    return make_rule(name, rungs_of(steps), seed)


def make_rule(name: str, rungs: tuple[int, ...], seed: int) -> StoppingRule:
    """The same for rungs of one's own, ascending.

    Raises:
        UserError: when there is none.
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
        raise UserError(f"--stopping {name}: there is no such rule; choose from {', '.join(STOPPING)}")
    return makers[name]()
