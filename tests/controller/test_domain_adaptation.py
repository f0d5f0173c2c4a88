"""Labels of one domain, unlabelled images of another: every method is scored on the other domain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.models import Encoder, Plain, Stage, UNet
from nas.space import Recipe
from nas.tasks import CrossEntropy, methods
from nas.tasks.data import VOID, FewLabelData, ImageSet, load_data, open_source
from nas.training import Adam, Augment, Constant, Plan, train

SIZE = (16, 24)
FEW = 4


@pytest.fixture(scope="module")
def data() -> FewLabelData:
    return load_data("scenes:day", "8", unlabelled="scenes:night", size=SIZE, progress=False)


def few(split: ImageSet) -> ImageSet:
    masks = None if split.masks is None else split.masks[:FEW]
    return ImageSet(split.images[:FEW], masks, split.names[:FEW])


def test_the_splits_are_of_the_right_domains(data: FewLabelData) -> None:
    night = open_source("scenes:night")
    assert data.name == "scenes:day -> scenes:night"
    assert all(name.startswith("day-pool") for name in data.labelled.names)
    for split, items in (("unlabelled", night.pool), ("validation", night.validation), ("test", night.test)):
        assert getattr(data, split).names == tuple(item.name for item in items)
    image, mask = night.validation[3].pair(SIZE)
    np.testing.assert_array_equal(data.validation.images[3], image)
    np.testing.assert_array_equal(data.validation.masks[3], mask)


@pytest.mark.parametrize("name", methods.__all__)
def test_every_method_is_ranked_on_the_target(data: FewLabelData, name: str) -> None:
    small = replace(
        data,
        **{split: few(getattr(data, split)) for split in ("labelled", "unlabelled", "validation", "test")},
        groups=(),
        unlabelled_groups=(),
    )
    recipe = Recipe(
        encoder=Encoder((Stage(Plain(convs=1), 6), Stage(Plain(convs=1), 8))),
        decoder=UNet(),
        loss=CrossEntropy(),
        method=getattr(methods, name)(),
        optimizer=Adam(lr=1e-2),
        schedule=Constant(),
        augment=Augment(),
        labelled_batch=2,
        unlabelled_batch=2,
    )
    reported: list[float] = []
    trained = train(recipe, small, Plan(steps=3, rungs=(3,)), lambda step, miou: reported.append(miou) is None)
    images = torch.from_numpy(small.validation.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        guess = trained.network.eval()(images).argmax(1).numpy()
    truth = small.validation.masks
    assert truth is not None
    known = truth != VOID
    ious = []
    for label in range(len(data.classes)):
        true, predicted = (truth == label) & known, (guess == label) & known
        if (true | predicted).any():
            ious.append((true & predicted).sum() / (true | predicted).sum())
    assert reported == [trained.scores.miou]
    # Another batch size may change a pixel where two classes are nearly equal.
    assert trained.scores.miou == pytest.approx(np.mean(ious), abs=5e-3)
