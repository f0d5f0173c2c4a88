"""Pretraining: it learns, scores are repeatable, running statistics are those of clean images, and it continues."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.models import Encoder, Plain, Stage, UNet, running_statistics_frozen
from nas.space import Recipe
from nas.tasks import Colorization, Denoising, Inpainting, Jigsaw, Rotation
from nas.training import Adam, Augment, Constant, Plan, TrainingError
from nas.training.images import Images, JoinedImages
from nas.training.pretext import PretextScore, pretext_scores
from nas.training.pretraining import Pretraining
from tests.photos import photos

CPU = torch.device("cpu")

RECIPE = Recipe(
    encoder=Encoder(stages=(Stage(Plain(convs=1), 8), Stage(Plain(convs=1), 16))),
    decoder=UNet(),
    pretext=(Rotation(), Denoising()),
    optimizer=Adam(lr=0.01),
    schedule=Constant(),
    augment=Augment(scale=(0.8, 1.25)),
    unlabelled_batch=8,
)


def split(count: int, seed: int) -> Any:
    return SimpleNamespace(images=photos(count, seed)[0], masks=None)


def pretraining(recipe: Recipe = RECIPE, steps: int = 4, seed: int = 0) -> Pretraining:
    images = JoinedImages([Images(split(10, 1), CPU), Images(split(22, 2), CPU)])
    return Pretraining(recipe, images, np.arange(24), np.arange(24, 32), Plan(steps, (), seed))


def run(training: Pretraining, until: int) -> Pretraining:
    while training.step < until:
        training.advance()
    return training


def test_it_learns_on_images_that_were_held_out() -> None:
    training = pretraining(steps=40)
    before = training.scores()
    rotation, denoising = run(training, 40).scores()
    assert rotation.accuracy is not None and rotation.accuracy > 0.8
    assert rotation.loss < 0.6 * before[0].loss
    assert denoising.loss < 0.5 * before[1].loss


def test_a_head_that_knows_nothing_scores_what_chance_says() -> None:
    recipe = replace(RECIPE, pretext=(Rotation(), Jigsaw(grid=2), Colorization(), Inpainting(), Denoising()))
    training = pretraining(recipe)
    for head in training.network.heads.values():
        for parameter in head.out.parameters():  # type: ignore[union-attr]
            torch.nn.init.zeros_(parameter)
    rotation, jigsaw, colours, inpainting, denoising = training.scores()
    assert (rotation.loss, rotation.chance) == (pytest.approx(math.log(4), rel=1e-3), 0.25)
    assert (jigsaw.loss, jigsaw.chance) == (pytest.approx(math.log(24), rel=1e-3), 1 / 24)
    assert colours.chance is not None and 0.1 < colours.chance < 1
    assert (inpainting.accuracy, denoising.chance) == (None, None)
    black = (photos(22, 2)[0][14:] / 255.0) ** 2
    assert denoising.loss == pytest.approx(black.mean(), rel=1e-3)


def test_scoring_changes_nothing_and_repeats() -> None:
    training = pretraining(replace(RECIPE, pretext=(Rotation(), Colorization(), Inpainting())))
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    drawn = training.generator.get_state()
    first = training.scores()
    assert first == training.scores()
    assert training.network.training
    assert torch.equal(drawn, training.generator.get_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in training.network.state_dict().items())


def test_the_score_of_a_batch_is_the_task_s_own_loss_and_metric() -> None:
    training = pretraining()
    images = torch.rand(6, 3, 24, 32, generator=torch.Generator().manual_seed(3))
    task = Rotation()
    (score,) = pretext_scores(training.network, [task], [images], seed=5)
    with torch.no_grad(), running_statistics_frozen(training.network):
        inputs, targets = task.make_batch(images, torch.Generator().manual_seed(5))
        prediction = training.network.heads["Rotation"](training.network.features(inputs))
    # Under bfloat16 the loss is a little off.
    assert score.loss == pytest.approx(float(task.loss(prediction, targets)), rel=0.02)
    assert score == PretextScore("Rotation", score.loss, score.accuracy, 0.25)


def test_training_leaves_decoder_and_running_statistics_alone() -> None:
    training = pretraining()
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    after = run(training, 4).network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith(("encoder.", "heads.")) for name in changed)
    assert not any("running" in name or "num_batches" in name for name in changed)


def test_running_statistics_are_those_of_clean_images() -> None:
    recipe = replace(RECIPE, augment=Augment(flip=0.0, scale=(1.0, 1.0)), unlabelled_batch=24)
    training = run(pretraining(recipe), 4)
    training.compute_statistics()
    encoder: Any = training.network.encoder
    convolution, norm = encoder.stages[0][0][0][:2]
    images = torch.from_numpy(np.concatenate([photos(10, 1)[0], photos(22, 2)[0][:14]])).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        maps = convolution((images - training.network.mean) / training.network.std)
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=0.02, atol=0.02)
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), rtol=0.03, atol=0.01)
    assert norm.momentum == 0.1


@pytest.mark.parametrize("norm", ["group", "switch"])
def test_every_kind_of_norm(norm: str) -> None:
    training = run(pretraining(replace(RECIPE, norm=norm)), 2)
    training.compute_statistics()
    assert all(torch.isfinite(tensor).all() for tensor in training.network.state_dict().values())


def test_it_continues_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = run(pretraining(steps=6), 6)
    first = run(pretraining(steps=6), 3)
    first.state().write(tmp_path / "state.pt", first.step)
    second = pretraining(steps=6)
    second.step = second.state().read(tmp_path / "state.pt")
    assert second.step == 3
    run(second, 6)
    for training in (whole, second):
        training.compute_statistics()
    one, other = whole.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.scores() == second.scores()


def test_a_loss_that_is_not_finite_is_reported() -> None:
    training = pretraining(replace(RECIPE, optimizer=Adam(lr=1e30)), steps=12)
    with pytest.raises(TrainingError, match=r"loss\.\w+ is \w+ at step 1\d \(Adam, lr 1e\+30\)"):
        run(training, 12)


def test_joined_images_are_numbered_one_after_another() -> None:
    parts = [split(3, 1), split(4, 2)]
    joined = JoinedImages([Images(part, CPU) for part in parts])
    every = np.concatenate([part.images for part in parts])
    assert len(joined) == 7 and joined.pixels == 24 * 32
    for indices in ([0, 2, 3, 6], [5], [1, 1]):
        found = joined.images(np.array(indices)).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(found, every[indices])
