"""Legends show names and colours of classes, in any script, and stay small."""

from __future__ import annotations

import numpy as np
import pytest

from nas.export import legend, with_legend

CLASSES = ("road", "pole", "a long name, Straße")
PALETTE = ((255, 0, 0), (0, 255, 0), (10, 20, 30))


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_a_legend_has_a_row_per_class() -> None:
    one, three = legend(CLASSES[:1], PALETTE[:1]), legend(CLASSES, PALETTE)
    assert set(PALETTE) <= colours(three)
    assert three.shape[0] > 2 * one.shape[0]
    assert three.shape[1] > one.shape[1]
    # Every row has ink to the right of its box.
    ink = (three[:, 30:] < 128).all(-1).any(1)
    assert all(ink[top : top + 24].any() for top in (4, 28, 52))


def test_a_bare_class_has_a_hollow_box() -> None:
    assert PALETTE[0] not in colours(legend(CLASSES, PALETTE, bare={0}))


@pytest.mark.parametrize("name", ["道路", "Дорога", "طريق", "🚗", "two\nlines", "", "e\u0301"])
def test_names_in_any_script_are_drawn(name) -> None:
    picture = legend((name, "car"), PALETTE[:2])
    assert set(PALETTE[:2]) <= colours(picture)
    ink = (picture[:28, 24:] < 128).all(-1)
    assert ink.any() == bool(name)


def test_a_letter_missing_in_all_fonts_is_a_question_mark() -> None:
    private = "\U00100000"  # private use area: in no font
    np.testing.assert_array_equal(legend((private,), PALETTE[:1]), legend(("?",), PALETTE[:1]))


def test_a_legend_in_a_picture_lists_the_shown_classes_and_keeps_the_size() -> None:
    picture = np.full((300, 400, 3), 77, np.uint8)
    out = with_legend(picture, [2, 0], CLASSES, PALETTE)
    assert out.shape == picture.shape
    assert {PALETTE[0], PALETTE[2]} <= colours(out)
    assert PALETTE[1] not in colours(out)
    changed = (out != picture).any(-1)
    assert changed.mean() < 0.3
    assert changed[-1, 0] and not changed[0].any() and not changed[:, -1].any()
    assert (picture == 77).all()


def test_legends_grow_with_the_picture() -> None:
    small, large = (
        (with_legend(np.zeros((side, side, 3), np.uint8), [0], CLASSES, PALETTE) > 0).any(-1).sum()
        for side in (256, 1024)
    )
    assert large > 2 * small


@pytest.mark.parametrize("shape", [(1, 1, 3), (20, 30, 3), (500, 20, 3)])
def test_a_picture_too_small_for_a_legend_has_none(shape) -> None:
    picture = np.zeros(shape, np.uint8)
    np.testing.assert_array_equal(with_legend(picture, [0, 1, 2], CLASSES, PALETTE), picture)


def test_of_very_many_classes_the_most_frequent_are_listed() -> None:
    many = tuple(f"class {i}" for i in range(150))
    palette = tuple((i, 255 - i, 40) for i in range(150))
    out = with_legend(np.zeros((240, 320, 3), np.uint8), list(range(149, -1, -1)), many, palette)
    found = colours(out)
    listed = {i for i in range(150) if palette[i] in found}
    assert 3 <= len(listed) < 20
    assert listed == set(range(150 - len(listed), 150))


def test_without_classes_there_is_no_legend() -> None:
    picture = np.zeros((100, 100, 3), np.uint8)
    np.testing.assert_array_equal(with_legend(picture, [255], CLASSES, PALETTE), picture)
