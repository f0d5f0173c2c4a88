"""Naive baselines against Otsu's formula, counts by hand, and the mIoU of torchmetrics."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torchmetrics.functional import jaccard_index

from nas.tasks.data import VOID, ImageSet
from nas.tasks.naive import CHANNELS, LOCATION_MAP, OTSU, OtsuBaseline, location_map, naive_scores


def otsu_threshold(grey: np.ndarray) -> int:
    """Find the level that maximizes the between-class variance (Otsu 1979, equation 18) by trying all."""

    def between(level: int) -> float:
        below, above = grey[grey <= level], grey[grey > level]
        if not below.size or not above.size:
            return 0.0
        return float(below.size * above.size * (below.mean() - above.mean()) ** 2)

    return max(range(256), key=between)


def two_groups(seed: int, dark: int = 70, light: int = 170) -> tuple[np.ndarray, np.ndarray]:
    """A grey image H x W with a lighter right part, and its mask."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((24, 40), np.uint8)
    mask[:, 28 - seed :] = 1
    grey = rng.normal(np.where(mask, light, dark), 25).clip(0, 255).astype(np.uint8)
    return grey, mask


def test_the_location_map_is_the_most_frequent_class_at_each_pixel() -> None:
    rng = np.random.default_rng(0)
    masks = rng.choice([0, 1, 2, 3, VOID], size=(7, 5, 6)).astype(np.uint8)
    found = location_map(masks, 4)
    assert found.shape == (5, 6) and found.dtype == np.uint8
    for y, x in np.ndindex(5, 6):
        counts = Counter(int(value) for value in masks[:, y, x] if value != VOID)
        assert counts[int(found[y, x])] == max(counts.values())


def test_pixels_without_any_label_get_the_most_frequent_class() -> None:
    masks = np.full((2, 3, 3), 2, np.uint8)
    masks[:, 0] = 0
    masks[:, 1, 1] = VOID
    assert location_map(masks, 3).tolist() == [[0, 0, 0], [2, 2, 2], [2, 2, 2]]


def test_the_threshold_is_otsus() -> None:
    pairs = [two_groups(seed) for seed in range(4)]
    images = np.stack([np.repeat(grey[..., None], 3, axis=2) for grey, _ in pairs])
    predicted = OtsuBaseline("grey", 1).predict(images)
    for (grey, _), prediction in zip(pairs, predicted, strict=True):
        assert np.array_equal(prediction, grey > otsu_threshold(grey))
    assert np.array_equal(OtsuBaseline("grey", 0).predict(images), 1 - predicted)


@pytest.mark.parametrize("bright", [0, 1])
@pytest.mark.parametrize("channel", CHANNELS[1:4])
def test_the_channel_and_the_bright_class_are_learnt_from_labels(channel: str, bright: int) -> None:
    images = np.random.default_rng(9).integers(0, 256, (3, 24, 40, 3), dtype=np.uint8)
    masks = []
    for seed in range(3):
        grey, mask = two_groups(seed, 30, 220)
        images[seed, ..., CHANNELS.index(channel) - 1] = grey
        masks.append(mask if bright else 1 - mask)
    fitted = OtsuBaseline.fit(images, np.stack(masks))
    assert fitted == OtsuBaseline(channel, bright)


def test_colour_separates_classes_of_equal_brightness() -> None:
    _, mask = two_groups(0)
    # Pure green and a grey of the same luminance differ only in saturation and single channels.
    image = np.where(mask[..., None] == 1, (0, 200, 0), (117, 117, 117)).astype(np.uint8)
    fitted = OtsuBaseline.fit(image[None], mask[None])
    assert fitted.channel != "grey"
    assert np.array_equal(fitted.predict(image[None])[0], mask)
    assert np.array_equal(OtsuBaseline("saturation", 1).predict(image[None])[0], mask)


def test_scores_are_the_miou_on_the_split_without_void() -> None:
    pairs = [two_groups(seed, 90, 150) for seed in range(6)]
    images = np.stack([np.repeat(grey[..., None], 3, axis=2) for grey, _ in pairs])
    masks = np.stack([mask for _, mask in pairs])
    masks[4, :5] = VOID
    names = tuple("abcdef")
    labelled, split = (ImageSet(images[part], masks[part], names[part]) for part in (slice(0, 3), slice(3, 6)))
    scores = naive_scores(labelled, split, 2)
    assert list(scores) == [LOCATION_MAP, OTSU] == ["location map", "Otsu's threshold"]

    truth = torch.from_numpy(masks[3:]).long()
    by_location = torch.from_numpy(location_map(masks[:3], 2)).expand(3, -1, -1)
    by_threshold = torch.from_numpy(np.stack([grey > otsu_threshold(grey) for grey, _ in pairs[3:]]))
    for name, predicted in ((LOCATION_MAP, by_location), (OTSU, by_threshold.long())):
        expected = jaccard_index(predicted.long(), truth, "multiclass", num_classes=2, ignore_index=VOID)
        assert scores[name] == pytest.approx(float(expected), abs=1e-6)


def test_otsu_needs_two_classes() -> None:
    masks = np.arange(3, dtype=np.uint8).repeat(16).reshape(3, 4, 4)
    split = ImageSet(np.zeros((3, 4, 4, 3), np.uint8), masks, ("a", "b", "c"))
    assert list(naive_scores(split, split, 3)) == ["location map"]
