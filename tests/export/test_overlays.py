"""Overlays colour the classes, leave the background unchanged, and never darken the photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nas.export import background_classes, colour_map, overlay

PALETTE = ((255, 0, 0), (0, 255, 0), (10, 20, 30))


def brightness(picture: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luma."""
    return picture @ np.array([0.299, 0.587, 0.114])


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    """Four blocks: three classes and void."""
    mask = np.zeros((60, 80), np.uint8)
    mask[:30, 40:], mask[30:, :40], mask[30:, 40:] = 1, 2, 255
    return mask


def inside(mask: np.ndarray, index: int) -> np.ndarray:
    """Pixels of a class away from outlines."""
    return cv2.erode((mask == index).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0


def test_colour_map_of_classes_and_void() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert colour_map(mask, PALETTE).tolist() == [[[255, 0, 0], [0, 255, 0]], [[10, 20, 30], [0, 0, 0]]]


@pytest.mark.parametrize("opacity", [0.0, 0.3, 0.5])
def test_no_class_darkens_the_photo(photo, mask, opacity) -> None:
    photo = photo // 2  # no colour is as bright as white
    change = brightness(overlay(photo, mask, PALETTE, opacity)) - brightness(photo)
    for index in range(3):
        assert change[inside(mask, index)].min() > -3  # rounding


def test_background_and_void_are_unchanged(photo, mask) -> None:
    out = overlay(photo, mask, PALETTE, 0.5, bare={0})
    for index in (0, 255):
        np.testing.assert_array_equal(out[mask == index], photo[mask == index])
    assert (out[inside(mask, 1)] != photo[inside(mask, 1)]).any(1).mean() > 0.9


def test_opacity_from_outlines_to_a_hidden_photo(photo, mask) -> None:
    known = inside(mask, 0) | inside(mask, 1) | inside(mask, 2)
    np.testing.assert_array_equal(overlay(photo, mask, PALETTE, 1)[known], colour_map(mask, PALETTE)[known])
    np.testing.assert_array_equal(overlay(photo, mask, PALETTE, 0)[known], photo[known])
    half = overlay(photo, mask, PALETTE, 0.5)
    assert half[inside(mask, 1), 1].mean() > photo[inside(mask, 1), 1].mean() + 30


@pytest.mark.parametrize("opacity", [0, 0.5])
def test_classes_are_outlined_in_their_colour(photo, mask, opacity) -> None:
    out = overlay(photo, mask, PALETTE, opacity, bare={0})
    assert out[10, 40].tolist() == [0, 255, 0]  # border of class 1; the background has no outline
    assert out[10, 39].tolist() == photo[10, 39].tolist()
    assert out[30, 10].tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("classes", "palette", "expected"),
    [
        (("background", "foreground"), ((0, 0, 0), (128, 0, 0)), {0}),
        (("leaf", " Background "), ((9, 9, 9), (0, 90, 0)), {1}),
        (("soil", "plant"), ((90, 60, 30), (0, 90, 0)), {0}),
        (("sky", "road", "car"), ((9, 9, 9), (128, 64, 128), (0, 0, 142)), set()),
        (("0", "1", "2"), ((0, 0, 0), (128, 0, 0), (0, 128, 0)), {0}),
    ],
)
def test_which_classes_are_background(classes, palette, expected) -> None:
    assert background_classes(classes, palette) == expected
