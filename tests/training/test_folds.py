"""Cross-validation trains the same networks as single trainings, and scores them by one confusion matrix."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.models import Encoder, Stage, UNet
from nas.space import Recipe
from nas.tasks import CrossEntropy, Supervised
from nas.training import Adam, Augment, Confusion, Plan, Poly, evaluate, pooled_miou, train, train_fold, train_folds
from nas.training.metrics import Scores

RECIPE = Recipe(
    encoder=Encoder(stages=(Stage(width=6), Stage(width=8))),
    decoder=UNet(),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=Adam(lr=5e-3),
    schedule=Poly(),
    augment=Augment(),
    labelled_batch=2,
    unlabelled_batch=2,
)


def part(images: Any, chosen: list[int]) -> Any:
    return SimpleNamespace(images=images.images[chosen], masks=images.masks[chosen])


@pytest.fixture(scope="module")
def folds(data: Any) -> list[Any]:
    """The six validation images as two folds."""
    both = [[0, 1, 2], [3, 4, 5]]
    views = []
    for held, learnt in (both, both[::-1]):
        whole = {**vars(data), "labelled": part(data.validation, learnt), "validation": part(data.validation, held)}
        views.append(SimpleNamespace(**whole))
    return views


def miou_by_hand(predicted: np.ndarray, masks: np.ndarray, classes: int) -> float:
    known = masks != 255
    overlaps = []
    for index in range(classes):
        union = ((predicted == index) | (masks == index)) & known
        if union.any():
            overlaps.append(((predicted == index) & (masks == index) & known).sum() / union.sum())
    return float(np.mean(overlaps))


def predictions(network: Any, images: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return network.eval()(pixels).argmax(1).numpy()


def test_the_score_pools_the_held_out_images_of_all_folds(folds: list[Any]) -> None:
    alone = [train(RECIPE, view, Plan(12, (12,))) for view in folds]
    together = train_folds(RECIPE, folds, Plan(12, (12,)))
    predicted = np.concatenate([predictions(t.network, v.validation.images) for t, v in zip(alone, folds, strict=True)])
    masks = np.concatenate([view.validation.masks for view in folds])
    assert together.scores.miou == pytest.approx(miou_by_hand(predicted, masks, 3), abs=1e-6)
    mean = np.mean([trained.scores.miou for trained in alone])
    assert together.scores.miou != pytest.approx(float(mean), abs=1e-6)


def test_all_folds_reach_a_rung_before_any_continues(folds: list[Any]) -> None:
    seen: list[tuple[int, float]] = []
    trained = train_folds(RECIPE, folds, Plan(6, (2, 4, 6)), lambda step, miou: seen.append((step, miou)) or step < 4)
    assert [step for step, _ in seen] == [2, 4]
    assert trained.steps == 4
    assert trained.scores.miou == seen[-1][1]


def test_paused_folds_continue_with_the_same_result(folds: list[Any], tmp_path: Path) -> None:
    whole = train_folds(RECIPE, folds, Plan(6, (3, 6)))
    kept = tmp_path / "candidate.state"
    train_folds(RECIPE, folds, Plan(6, (3, 6)), lambda step, miou: False, kept)
    assert kept.exists()
    assert train_folds(RECIPE, folds, Plan(6, (3, 6)), paused=kept).scores == whole.scores


def test_a_training_may_end_before_its_schedule_does(data: Any) -> None:
    rates: list[float] = []
    stopped = train(RECIPE, data, Plan(8, (), stop=4), lambda step, miou: rates.append(step) or True)
    assert stopped.steps == 4
    assert rates == [4]
    # A rung of a full training has the same four steps of the same schedule.
    scores: dict[int, float] = {}
    train(RECIPE, data, Plan(8, (4, 8)), lambda step, miou: scores.update({step: miou}) or True)
    assert stopped.scores.miou == scores[4]


def test_confusions_add_up(data: Any) -> None:
    network = train(RECIPE, data, Plan(2, (2,))).network
    device = torch.device("cpu")
    masks = torch.from_numpy(data.validation.masks)
    predicted = torch.from_numpy(predictions(network, data.validation.images))
    halves = [Confusion(3), Confusion(3)]
    for half, chosen in zip(halves, (slice(0, 2), slice(2, 6)), strict=True):
        half.add(predicted[chosen], masks[chosen])
    total: Scores = (halves[0] + halves[1]).scores()
    assert total == evaluate(network, data.validation, 3, device)


def test_folds_trained_separately_have_the_same_score(folds: list[Any]) -> None:
    plan = Plan(6, (3, 6))
    scores: dict[int, float] = {}
    train_folds(RECIPE, folds, plan, lambda step, miou: scores.update({step: miou}) or True)
    separate = [train_fold(RECIPE, view, plan, lambda step, miou: True, lambda: None)[1] for view in folds]
    assert {step: pooled_miou([counts[step] for counts in separate]) for step in (3, 6)} == scores
