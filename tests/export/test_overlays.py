"""Pictures show the colours of the palette where the classes are."""

from __future__ import annotations

import numpy as np

from nas.export import colour_map, legend, overlay

PALETTE = ((255, 0, 0), (0, 255, 0), (10, 20, 30))


def test_colour_map_looks_each_class_up() -> None:
    mask = np.array([[0, 1], [2, 255]], np.uint8)
    assert colour_map(mask, PALETTE).tolist() == [[[255, 0, 0], [0, 255, 0]], [[10, 20, 30], [0, 0, 0]]]


def test_overlay_mixes_by_opacity_and_leaves_void_bare() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    mask = np.array([[0, 1, 255]], np.uint8)
    assert overlay(image, mask, PALETTE, 0.5).tolist() == [[[178, 50, 50], [50, 178, 50], [100, 100, 100]]]
    assert overlay(image, mask, PALETTE, 0).tolist() == image.tolist()
    assert overlay(image, mask, PALETTE, 1).tolist() == [[[255, 0, 0], [0, 255, 0], [100, 100, 100]]]


def test_legend_has_a_row_a_class() -> None:
    one, three = legend(("road",), PALETTE[:1]), legend(("road", "pole", "a long name, Straße"), PALETTE)
    colours = {tuple(c) for c in three.reshape(-1, 3).tolist()}
    assert set(PALETTE) <= colours
    assert three.shape[0] > 2 * one.shape[0]
    assert three.shape[1] > one.shape[1]
    # Every row has ink: the names are written out.
    ink = (three[:, 40:] < 128).all(-1).any(1)
    assert all(ink[8 + 28 * i : 28 + 28 * i].any() for i in range(3))
