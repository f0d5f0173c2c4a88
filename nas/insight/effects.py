"""Importances and effects as data that a study can store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ATTRIBUTE", "Effect", "Importance", "Interaction"]

ATTRIBUTE = "importance"
"""Study attribute that holds `Importance.to_data`."""


@dataclass(frozen=True)
class Effect:
    """Main effect of one parameter.

    Attributes:
        path: name of the parameter.
        share, share_error: share of the variance of the predicted score that the parameter explains while active, and
            its standard error.
        best: its best value, as text.
        gain, gain_error: mean gain of the best value over the others, in standard deviations of the score, and its
            standard error.
    """

    path: str
    share: float
    share_error: float
    best: str
    gain: float
    gain_error: float


@dataclass(frozen=True)
class Interaction:
    """Interaction of two parameters: their joint effect beyond their main effects.

    Attributes:
        one, other: names of the parameters.
        share, share_error: share of the variance of the predicted score, and its standard error.
        sentence: the interaction in words.
    """

    one: str
    other: str
    share: float
    share_error: float
    sentence: str


@dataclass(frozen=True)
class Importance:
    """Importances of the parameters of a study, largest first.

    Attributes:
        explained: R2 of the model on held-out trials; None if no model was fitted.
        trials: number of scored trials.
        effects, interactions: those with at least 1 % of the variance; empty if the importances are unknown.
        reason: why the importances are unknown, else empty.
    """

    explained: float | None
    trials: int
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    reason: str = ""

    def to_data(self) -> dict[str, Any]:
        """Convert to data that JSON supports."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Importance:
        """Convert from the data that `to_data` returns."""
        effects = tuple(Effect(**effect) for effect in data["effects"])
        interactions = tuple(Interaction(**pair) for pair in data["interactions"])
        return cls(**{**data, "effects": effects, "interactions": interactions})
