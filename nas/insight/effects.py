"""What mattered in a study, as data: effects of parameters and of pairs of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["ATTRIBUTE", "Effect", "Importance", "Interaction"]

ATTRIBUTE = "importance"
"""Study attribute: `Importance.to_data`."""


@dataclass(frozen=True)
class Effect:
    """One parameter.

    Attributes:
        path: its name.
        share, share_error: of the variance of the predicted score, what it explains beyond whether it is reached;
            and the standard error.
        best: its best value, as text.
        gain, gain_error: of the best value over the others, in standard deviations of the score.
    """

    path: str
    share: float
    share_error: float
    best: str
    gain: float
    gain_error: float


@dataclass(frozen=True)
class Interaction:
    """What two parameters do together, beyond what each does: its share of the variance, and in a sentence."""

    one: str
    other: str
    share: float
    share_error: float
    sentence: str


@dataclass(frozen=True)
class Importance:
    """What mattered, the most important first.

    Attributes:
        explained: share of the variance among trials that the model did not see; None where it was not tried.
        trials: that have a score.
        effects, interactions: those of at least 1 % of the variance; none where it cannot be told.
        reason: why it cannot be told, else empty.
    """

    explained: float | None
    trials: int
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    reason: str = ""

    def to_data(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Importance:
        """The inverse of `to_data`."""
        effects = tuple(Effect(**effect) for effect in data["effects"])
        interactions = tuple(Interaction(**pair) for pair in data["interactions"])
        return cls(**{**data, "effects": effects, "interactions": interactions})
