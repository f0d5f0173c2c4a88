"""Masks of every kind are read as the written class indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data.masks import MaskCode, read_mask
from nas.tasks.data.palettes import VOC, distinct_colours

VALUES = MaskCode({0: 0, 1: 1, 2: 2, 3: 255, 255: 255})
COLOURS = MaskCode({}, {(0, 0, 0): 0, (10, 20, 30): 1, (30, 20, 10): 2, (255, 255, 255): 255})


@pytest.fixture
def index() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 3, (9, 13))


def test_index_mask(tmp_path: Path, write_mask, index: np.ndarray) -> None:
    stored = index.copy()
    stored[0, :4], stored[1, :4] = 255, 3
    write_mask(tmp_path / "m.png", stored)
    wanted = np.where(stored == 3, 255, stored)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", VALUES), wanted)


def test_index_mask_stored_as_three_equal_channels(tmp_path: Path, write_mask, index: np.ndarray) -> None:
    write_mask(tmp_path / "m.png", np.repeat(index[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", VALUES), index)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_mask_gives_its_indices(tmp_path: Path, write_palette_png, index: np.ndarray, bits: int) -> None:
    # Two entries share a colour, so only the stored indices tell them apart.
    palette = np.array([(0, 0, 0), (9, 9, 9), (9, 9, 9)])
    write_palette_png(tmp_path / "m.png", index, palette, bits)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", VALUES), index)


def test_palette_mask_by_its_colours(tmp_path: Path, write_palette_png, index: np.ndarray) -> None:
    palette = np.array([(30, 20, 10), (0, 0, 0), (10, 20, 30)])
    write_palette_png(tmp_path / "m.png", index, palette)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", COLOURS), np.array([2, 0, 1])[index])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_colour_mask(tmp_path: Path, write_mask, index: np.ndarray, suffix: str) -> None:
    table = np.array([(0, 0, 0), (10, 20, 30), (30, 20, 10)])
    rgb = table[index]
    rgb[0, 0] = 255
    write_mask(tmp_path / f"m{suffix}", rgb)
    wanted = index.copy()
    wanted[0, 0] = 255
    np.testing.assert_array_equal(read_mask(tmp_path / f"m{suffix}", COLOURS), wanted)


def test_value_out_of_range_names_file_and_value(tmp_path: Path, write_mask, index: np.ndarray) -> None:
    index[2, 5:7] = 77
    write_mask(tmp_path / "street_7.png", index)
    with pytest.raises(UserError, match=r"street_7\.png: value 77 \(2 pixels\)"):
        read_mask(tmp_path / "street_7.png", VALUES)


def test_unknown_colour_names_file_and_colour(tmp_path: Path, write_mask, index: np.ndarray) -> None:
    rgb = np.zeros((*index.shape, 3), int)
    rgb[4, 4] = 1, 2, 3
    write_mask(tmp_path / "street_7.png", rgb)
    with pytest.raises(UserError, match=r"street_7\.png: colour \(1, 2, 3\) \(1 pixels\)"):
        read_mask(tmp_path / "street_7.png", COLOURS)


def test_broken_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"m\.png is broken"):
        read_mask(tmp_path / "m.png", VALUES)


def test_voc_colours_are_the_published_ones() -> None:
    # From the VOC devkit: aeroplane, bicycle, person, tv monitor.
    colours = distinct_colours(21)
    assert (colours[1], colours[2], colours[15], colours[20]) == (
        (128, 0, 0),
        (0, 128, 0),
        (192, 128, 128),
        (0, 64, 128),
    )
    assert VOC["person"] == (192, 128, 128)
    assert len(set(distinct_colours(150, skip=1))) == 150
