"""No method reads labels of unlabelled images."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.models import Encoder, Stage, UNet
from nas.space import Recipe
from nas.tasks import CrossEntropy, Supervised, methods
from nas.training import Adam, Augment, Plan, Poly, train

CLASSES = 3


def split(count: int, seed: int) -> Any:
    """Images of noise, labelled by brightness."""
    images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return SimpleNamespace(images=images, masks=(images.mean(3) * CLASSES / 256).astype(np.uint8))


def data(unlabelled_masks: Any) -> Any:
    return SimpleNamespace(
        classes=tuple("abc"),
        labelled=split(3, 1),
        unlabelled=SimpleNamespace(images=split(4, 2).images, masks=unlabelled_masks),
        validation=split(2, 3),
        shifted=False,
    )


def eager(method: Any) -> Any:
    """Lower the thresholds of a method, so that it learns from unlabelled pixels from the start."""
    low = {"confidence": 0.3, "threshold": 0.3, "warmup": 0.0}
    return replace(method, **{f.name: low[f.name] for f in fields(method) if f.name in low})


def weights(method: Any, unlabelled_masks: Any) -> torch.Tensor:
    recipe = Recipe(
        encoder=Encoder(stages=(Stage(width=4), Stage(width=6))),
        decoder=UNet(),
        loss=CrossEntropy(),
        method=method,
        optimizer=Adam(lr=5e-3),
        schedule=Poly(),
        augment=Augment(),
        labelled_batch=2,
        unlabelled_batch=2,
    )
    network = train(recipe, data(unlabelled_masks), Plan(4, (4,))).network
    return torch.cat([tensor.flatten().double() for tensor in network.state_dict().values()])


def shipped() -> list[Any]:
    """All methods that have defaults for all fields."""
    kinds = [getattr(methods, name) for name in methods.__all__]
    return [kind() for kind in kinds if not any(f.default is f.default_factory is MISSING for f in fields(kind))]


@pytest.mark.parametrize("method", shipped(), ids=lambda method: type(method).__name__)
def test_labels_of_unlabelled_images_have_no_effect(method: Any) -> None:
    poison = np.random.default_rng(7).integers(0, 256, (4, 16, 16), dtype=np.uint8)
    clean = weights(eager(method), None)
    assert torch.isfinite(clean).all()
    assert torch.equal(clean, weights(eager(method), poison))
    # The images themselves have an effect, so the loss was not 0.
    assert method.needs_unlabelled != torch.equal(clean, weights(Supervised(), None))
