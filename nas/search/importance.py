"""What mattered in a search: how much of the score's variance each parameter explains, alone and in pairs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from nas.errors import UserError

if TYPE_CHECKING:
    import optuna

__all__ = ["ATTRIBUTE", "Effect", "Importance", "Interaction", "importance"]

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


def importance(study: optuna.Study) -> Importance:
    """How much of the variance of the score each parameter of a study explains, conditional ones included.

    The surrogate's model is fitted to the trials: to the ranks of their scores, a pruned trial counting as worse
    than those trained in full. The variance of its predictions over candidates drawn evenly from the space is
    split (see `nas.search.variance`). How much of the variance the model explains is measured on trials it has
    not seen, its hyper-parameters learnt anew without them: those learnt from all trials seem to predict noise.
    Standard errors tell how far all this depends on which trials there happen to be.

    Raises:
        UserError: when the study has several objectives.
    """
    from nas.search.explain import explain

    if len(study.directions) != 1:
        raise UserError(f"study {study.study_name}: importance is that of one objective, and it has several")
    return explain(study)
