"""How good a trial is beside the others of its study, pruned ones included."""

from __future__ import annotations

import math

import numpy as np
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["fitness", "gaussian_ranks"]


def fitness(trial: FrozenTrial, study: Study) -> tuple[float, float] | None:
    """How far the trial went, then its score there, larger being better; None when it has no score."""
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return math.inf, sign * trial.value
    if trial.intermediate_values:
        step = max(trial.intermediate_values)
        return float(step), sign * trial.intermediate_values[step]
    return None


def gaussian_ranks(fitnesses: np.ndarray) -> np.ndarray:
    """The normal quantiles of the ranks of N x 2 fitnesses (how far, score): N numbers of mean zero, ties alike.

    Ranks make the model blind to the scale of the scores, and to how bad the bad ones are.
    """
    _, places = np.unique(fitnesses, axis=0, return_inverse=True)
    return ndtri((rankdata(places.ravel()) - 0.5) / len(fitnesses))
