"""The embedded scenes are reproducible, show every class, and cannot be solved by colour alone."""

from __future__ import annotations

import numpy as np
import pytest

from nas.tasks.data import VOID, FewLabelData, load_data
from nas.tasks.data.scenes import CLASSES, PALETTE, SceneItem, read_scenes
from nas.tasks.data.scenes.painter import paint
from nas.training import class_pixels


@pytest.fixture(scope="module")
def scenes() -> FewLabelData:
    return load_data(size=(32, 48), progress=False)


def test_default_counts_and_size(scenes: FewLabelData) -> None:
    parts = (scenes.labelled, scenes.unlabelled, scenes.validation, scenes.test)
    assert [len(part) for part in parts] == [45, 315, 96, 160]
    assert len({name for part in parts for name in part.names}) == 616
    assert read_scenes().size == (48, 64)
    assert (scenes.classes, scenes.palette, len(PALETTE)) == (CLASSES, PALETTE, 9)


def test_every_split_shows_every_class(scenes: FewLabelData) -> None:
    assert min(class_pixels(scenes.labelled, len(scenes.classes))) > 0
    for part in (scenes.validation, scenes.test):
        assert set(np.unique(part.masks)) == {*range(len(CLASSES)), VOID}


def test_all_scenes_differ(scenes: FewLabelData) -> None:
    parts = (scenes.labelled, scenes.unlabelled, scenes.validation, scenes.test)
    assert len({image.tobytes() for part in parts for image in part.images}) == 616


def test_the_border_is_void(scenes: FewLabelData) -> None:
    masks = scenes.test.masks
    for edge in (masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]):
        assert (edge == VOID).all()
    assert (masks == VOID).mean() < 0.2


def test_scenes_are_reproducible(scenes: FewLabelData) -> None:
    again = {item.name: item for item in read_scenes().pool}
    image, mask = again[scenes.labelled.names[3]].pair((32, 48))
    np.testing.assert_array_equal(image, scenes.labelled.images[3])
    np.testing.assert_array_equal(mask, scenes.labelled.masks[3])


def test_cached_scene_equals_the_drawn_one() -> None:
    item = SceneItem("night", "test", 5)
    mask = item.mask((24, 32))
    image, again = item.pair((24, 32))
    np.testing.assert_array_equal(mask, again)
    np.testing.assert_array_equal(image, item.image((24, 32)))
    assert not item.drawn


def test_seed_changes_the_labels_but_not_the_scenes(scenes: FewLabelData) -> None:
    other = load_data(size=(32, 48), seed=1, progress=False)
    assert scenes.labelled.names != other.labelled.names
    np.testing.assert_array_equal(scenes.test.images, other.test.images)


def test_night_is_darker() -> None:
    day, night = (np.mean([paint((0, 0, n), (32, 48), night)[0].mean() for n in range(12)]) for night in (False, True))
    assert night < 0.6 * day


@pytest.mark.parametrize("size", [(33, 47), (128, 192), (16, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    image, mask = paint((0, 0, 1), size, True)
    assert (image.shape, mask.shape) == ((*size, 3), size)
    assert set(np.unique(mask)) <= {*range(len(CLASSES)), VOID}


def test_colour_alone_does_not_tell_the_class(scenes: FewLabelData) -> None:
    """The most frequent class of each colour in the labelled images has a low mIoU."""
    bins, classes = 8, len(CLASSES)

    def codes(images: np.ndarray) -> np.ndarray:
        small = images.astype(int) * bins // 256
        return (small[..., 0] * bins + small[..., 1]) * bins + small[..., 2]

    table = np.zeros((bins**3, classes))
    seen = scenes.labelled.masks != VOID
    np.add.at(table, (codes(scenes.labelled.images)[seen], scenes.labelled.masks[seen]), 1)
    guess = table.argmax(1)[codes(scenes.test.images)]
    truth = scenes.test.masks
    scores = [
        ((guess == c) & (truth == c)).sum() / (((guess == c) | (truth == c)) & (truth != VOID)).sum()
        for c in range(classes)
    ]
    assert np.mean(scores) < 0.3
