"""Trainings on cached features of a frozen encoder."""

from __future__ import annotations

import logging
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.models import FPN, Encoder, Norms, Pretrained, Stage, UNet, build_network
from nas.space import Recipe, candidate_hash, from_json, to_json
from nas.tasks import ClassMix, CrossEntropy, Jigsaw, Supervised
from nas.training import Adam, Augment, Plan, Poly, Trained, evaluate, train, train_folds
from nas.training.feature_cache import FeatureCache
from nas.training.features import VIEWS, training_inputs
from nas.training.images import Images

CPU = torch.device("cpu")
ENCODER = Encoder(stages=(Stage(width=8), Stage(width=12), Stage(width=16)))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A decoder on cached features of an encoder that has been trained for a moment."""
    file = tmp_path_factory.mktemp("weights") / "encoder.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        body = Recipe(ENCODER, UNet())
        network = build_network(body, 3)
        network.train()(torch.rand(4, 3, 24, 32))  # running statistics
        torch.save(network.encoder.state_dict(), file)
    return Recipe(
        encoder=Pretrained(ENCODER, weights=str(file), frozen="cached"),
        decoder=UNet(),
        loss=CrossEntropy(),
        method=Supervised(),
        optimizer=Adam(lr=1e-2),
        schedule=Poly(),
        augment=Augment(scale=(0.8, 1.25), colour=0.2),
        labelled_batch=3,
        unlabelled_batch=2,
    )


def frozen(recipe: Recipe, how: Any) -> Recipe:
    return replace(recipe, encoder=replace(recipe.encoder, frozen=how))


def inputs(recipe: Recipe, data: Any, cache: FeatureCache | None = None) -> Any:
    network = build_network(recipe, 3)
    network.encoder.load_weights()
    images, validation = Images(data.labelled, CPU), Images(data.validation, CPU)
    views, scored = training_inputs(recipe, network, images, validation, torch.channels_last, cache or FeatureCache())
    return network.eval(), images, views, scored


def assert_same_weights(one: Trained, other: Trained) -> None:
    for (name, a), b in zip(one.network.state_dict().items(), other.network.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def assert_close_as_float16(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Float16 keeps 11 bits. Batches of other sizes round differently."""
    torch.testing.assert_close(actual, expected, rtol=2**-10, atol=1e-4)


@pytest.mark.parametrize("flip", [0.0, 1.0])
@torch.no_grad()
def test_features_are_those_of_the_network(recipe: Recipe, data: Any, flip: float) -> None:
    """Without zoom and colours, each view is the image, or its mirror image."""
    still = replace(recipe, augment=Augment(flip=flip, scale=(1.0, 1.0)))
    network, images, views, scored = inputs(still, data)
    chosen = np.array([4, 0, 4])
    batch = views.draw(chosen, torch.Generator().manual_seed(1))
    pixels, masks = images.floats(chosen), images.masks(chosen)
    if flip:
        pixels, masks = pixels.flip(3), masks.flip(2)
    assert len(batch.features) == 3
    for actual, expected in zip(batch.features, network.features(pixels), strict=True):
        assert actual.dtype == torch.float32 and actual.is_contiguous(memory_format=torch.channels_last)
        assert_close_as_float16(actual, expected)
    assert torch.equal(batch.masks, masks.long())
    torch.testing.assert_close(batch.scores(network)[0], network(pixels), rtol=1e-2, atol=1e-2)

    validation = Images(data.validation, CPU)
    indices = np.arange(len(validation))
    direct = network(validation.floats(indices))
    torch.testing.assert_close(scored.logits(network, indices, torch.channels_last), direct, rtol=1e-2, atol=1e-2)
    assert torch.equal(scored.masks(indices), validation.masks(indices))


def test_views_of_an_image_differ_and_are_the_same_in_every_training(recipe: Recipe, data: Any) -> None:
    one, two = (
        inputs(recipe, data)[2].draw(np.zeros(200, np.int64), torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(one.features[0], two.features[0]) and torch.equal(one.masks, two.masks)
    assert len(torch.unique(one.features[0].flatten(1), dim=0)) == VIEWS
    assert len(one.images) == 0


def test_odd_sizes_and_crops(recipe: Recipe, data: Any) -> None:
    """Images are padded to a multiple of the stride, and views may be smaller than images."""

    def cut(split: Any) -> Any:
        return SimpleNamespace(images=split.images[:, :21, :30], masks=split.masks[:, :21, :30])

    small = SimpleNamespace(labelled=cut(data.labelled), validation=cut(data.validation))
    cropped = replace(recipe, augment=Augment(crop=(14, 40)))
    network, _, views, scored = inputs(cropped, small)
    batch = views.draw(np.arange(3), torch.Generator())
    assert batch.masks.shape == (3, 14, 30) and batch.scores(network)[0].shape == (3, 3, 14, 30)
    assert scored.logits(network, np.arange(2), torch.channels_last).shape == (2, 3, 21, 30)


def test_a_decoder_learns_on_cached_features(recipe: Recipe, data: Any) -> None:
    trained = train(recipe, data, Plan(80, (80,)))
    assert trained.cached and trained.scores.miou > 0.75
    whole = evaluate(trained.network, data.validation, 3, CPU)
    assert whole.miou == pytest.approx(trained.scores.miou, abs=0.01)
    start = build_network(recipe, 3)
    start.encoder.load_weights()
    for (name, after), before in zip(
        trained.network.encoder.state_dict().items(), start.encoder.state_dict().values(), strict=True
    ):
        assert torch.equal(after, before), name


def test_a_paused_training_continues_with_the_same_result(recipe: Recipe, data: Any, tmp_path: Path) -> None:
    """Whether the features are in memory, or in files that are computed anew in between."""
    candidate = replace(recipe, ema=0.9)
    plan, kept = Plan(8, (4, 8)), tmp_path / "state.pt"
    whole = train(candidate, data, plan)
    train(candidate, data, plan, lambda step, miou: False, paused=kept, cache=FeatureCache(tmp_path / "a"))
    again = train(candidate, data, plan, paused=kept, cache=FeatureCache(tmp_path / "b"))
    assert again.steps == 8 and again.scores == whole.scores
    assert_same_weights(again, whole)


def test_candidates_share_the_features(recipe: Recipe, data: Any, tmp_path: Path) -> None:
    """Decoders, optimizers and seeds share them; which candidate computes them does not matter."""
    cache, plan = FeatureCache(tmp_path), Plan(4, (4,))
    # The group norm of its decoder is trained in another memory layout.
    other = replace(recipe, decoder=FPN(width=8), optimizer=Adam(lr=1e-4), norm=Norms("batch", "group"))
    train(other, data, replace(plan, seed=7), cache=cache)
    spent, files = cache.seconds, sorted(tmp_path.glob("*.npy"))
    assert len(files) == 2 and spent > 0
    shared = train(recipe, data, plan, cache=cache)
    assert cache.seconds == spent and sorted(tmp_path.glob("*.npy")) == files
    assert_same_weights(shared, train(recipe, data, plan))

    train(replace(recipe, augment=Augment(colour=0.5)), data, plan, cache=cache)
    assert len(list(tmp_path.glob("*.npy"))) == 3  # other views of the same images


def test_other_weights_are_other_features(recipe: Recipe, data: Any, tmp_path: Path) -> None:
    file = Path(recipe.encoder.weights)
    copied = tmp_path / "encoder.pt"
    copied.write_bytes(file.read_bytes())
    candidate = replace(recipe, encoder=replace(recipe.encoder, weights=str(copied)))
    cache = FeatureCache(tmp_path / "cache")
    train(candidate, data, Plan(1, (1,)), cache=cache)
    torch.save({name: tensor * 1.5 for name, tensor in torch.load(copied).items()}, copied)
    train(candidate, data, Plan(1, (1,)), cache=cache)
    assert len(list(cache.folder.glob("*.npy"))) == 4


@pytest.mark.parametrize("fields", [{"method": ClassMix()}, {"pretext": (Jigsaw(grid=2, weight=0.1),)}])
def test_where_images_are_read_cached_is_the_same_as_all(recipe: Recipe, data: Any, fields: dict[str, Any]) -> None:
    cached = replace(recipe, **fields)
    assert not cached.caches_features
    assert candidate_hash(cached) == candidate_hash(frozen(cached, "all"))
    one, other = (train(frozen(cached, how), data, Plan(2, (2,))) for how in ("cached", "all"))
    assert not one.cached
    assert_same_weights(one, other)


def test_the_hash_knows_cached_from_all(recipe: Recipe) -> None:
    assert recipe.caches_features and candidate_hash(recipe) != candidate_hash(frozen(recipe, "all"))
    slow = replace(recipe, encoder=replace(recipe.encoder, rate=0.1, statistics="frozen"))
    assert candidate_hash(slow) == candidate_hash(recipe)
    off = replace(recipe, pretext=(Jigsaw(weight=0.0),))
    assert candidate_hash(off) == candidate_hash(recipe)
    assert from_json(to_json(recipe)) == recipe


def test_without_room_features_are_computed_in_every_step(
    recipe: Recipe, data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("nas.training.feature_cache.shutil.disk_usage", lambda path: usage(0, 0, 1000))
    with caplog.at_level(logging.WARNING, "nas"):
        trained = train(recipe, data, Plan(2, (2,)), cache=FeatureCache(tmp_path))
    assert not trained.cached and not list(tmp_path.iterdir())
    (line,) = caplog.messages
    assert line.startswith("the features of a frozen encoder need") and str(tmp_path) in line
    assert_same_weights(trained, train(frozen(recipe, "all"), data, Plan(2, (2,))))


def test_folds(recipe: Recipe, data: Any, tmp_path: Path) -> None:
    def view(out: int) -> Any:
        labelled, kept = data.labelled, np.arange(5) != out
        return SimpleNamespace(
            **{**vars(data), "labelled": SimpleNamespace(images=labelled.images[kept], masks=labelled.masks[kept])}
        )

    cache = FeatureCache(tmp_path)
    trained = train_folds(recipe, [view(0), view(1)], Plan(2, (2,)), cache=cache)
    # Views of each fold; the validation images are the same here.
    assert trained.cached and len(list(tmp_path.glob("*.npy"))) == 3
