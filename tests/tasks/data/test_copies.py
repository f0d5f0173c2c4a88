"""Copies of a picture stay on one side of every split, whatever their format, size, quality and brightness."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.tasks.data import load_data
from nas.tasks.data.copies import find_copies


def photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
    fine = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(fine + rng.normal(0, 6, fine.shape), 0, 255).astype(np.uint8)


CHANGES = {
    "bytes": (".png", 1.0, 1.0, []),
    "jpeg": (".jpg", 1.0, 1.0, [cv2.IMWRITE_JPEG_QUALITY, 40]),
    "webp": (".webp", 1.0, 1.0, [cv2.IMWRITE_WEBP_QUALITY, 50]),
    "half": (".png", 0.5, 1.0, []),
    "half jpeg": (".jpg", 0.5, 1.0, [cv2.IMWRITE_JPEG_QUALITY, 60]),
    "larger": (".png", 1.7, 1.0, []),
    "darker": (".png", 1.0, 0.6, []),
    "brighter jpeg": (".jpg", 0.9, 1.15, [cv2.IMWRITE_JPEG_QUALITY, 80]),
}
"""Suffix, factors of size and brightness, and options of the format of a copy."""


def write(root: Path, name: str, seed: int, change: str = "bytes", mask: bool = True, under: str = "images") -> None:
    suffix, scale, brightness, options = CHANGES[change]
    pixels = cv2.convertScaleAbs(photo(seed), alpha=brightness)
    if scale != 1:
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for folder in (under, "masks"):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(root / under / f"{name}{suffix}"), pixels, options)
    if mask:
        cv2.imwrite(str(root / "masks" / f"{name}.png"), (pixels[..., 0] > 128).astype(np.uint8))


def twice(root: Path, change: str, count: int = 14) -> Path:
    for seed in range(count):
        write(root, f"first{chr(97 + seed)}", seed)
        write(root, f"again{chr(97 + seed)}", seed, change)
    return root


@pytest.mark.parametrize("change", CHANGES)
def test_copies_stay_on_one_side_of_a_split(tmp_path: Path, change: str) -> None:
    data = load_data(f"folder:{twice(tmp_path, change)}", progress=False, size=(24, 32))
    learnt, tested = ({name[5:] for name in part.names} for part in (data.labelled, data.test))
    assert learnt and tested and not learnt & tested
    assert len(data.labelled) == 2 * len(learnt) and len(data.labelled) + len(data.test) == 28
    assert len(set(data.groups)) == len(learnt)
    assert data.summary is not None and data.summary.copies == 14
    assert any("copies of another image: 14" in line for line in data.summary.lines())


def small(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)


def test_different_and_plain_photos_are_no_copies() -> None:
    pictures = np.stack([small(photo(seed)[..., 0]) for seed in range(60)])
    dark = np.random.default_rng(0).poisson(1.5, (60, 32, 32)).astype(np.uint8)  # dark, unrelated images
    for some in (pictures, dark, np.zeros((5, 32, 32), np.uint8), np.zeros((0, 32, 32), np.uint8)):
        assert find_copies(some) == []


def test_finds_all_pairs_of_the_same_picture() -> None:
    pictures = [small(photo(seed)[..., 0]) for seed in (0, 1, 0, 2, 1, 0)]
    assert find_copies(np.stack(pictures)) == [(0, 2), (0, 5), (1, 4), (2, 5)]


def test_same_scene_with_another_object_is_no_copy() -> None:
    picture = small(photo(0)[..., 0])
    other = picture.copy()
    other[10:13, 10:13] += 60
    assert find_copies(np.stack([picture, other])) == []


def test_slides_with_the_same_illumination_are_no_copies() -> None:
    # The illumination makes all pixels nearly equal; only a few small cells differ.
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    slides = []
    for _ in range(40):
        slide = 200 * np.exp(-(x**2 + y**2))
        for across, down in rng.uniform(-0.9, 0.9, (8, 2)):
            slide -= 20 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / 0.005)
        slides.append(small(np.clip(slide + rng.normal(0, 3, slide.shape), 0, 255).astype(np.uint8)))
    assert np.corrcoef([slide.ravel() for slide in slides]).min() > 0.98
    assert find_copies(np.stack(slides)) == []


def test_copies_in_declared_splits_are_not_trained_on(tmp_path: Path, caplog) -> None:
    for seed in range(8):
        write(tmp_path, f"train/{chr(97 + seed)}", seed)
    for seed in range(6, 11):
        write(tmp_path, f"test/{chr(97 + seed)}", seed, "half jpeg")
    data = load_data(f"folder:{tmp_path}", progress=False, size=(24, 32))
    assert data.labelled.names == tuple(f"train/{letter}" for letter in "abcdef")
    assert len(data.test) == 5
    assert "left out: 2 copies of ranking or test images, the first is train/g" in caplog.text
    (tmp_path / "few.txt").write_text("train/a\ntrain/g\n")
    assert load_data(f"folder:{tmp_path}", str(tmp_path / "few.txt"), progress=False).labelled.names == ("train/a",)


def test_splits_and_sets_that_are_all_copies_are_warned_of(tmp_path: Path, caplog) -> None:
    for split in ("train", "test"):
        for seed in range(4):
            write(tmp_path, f"{split}/{chr(97 + seed)}", seed)
    data = load_data(f"folder:{tmp_path}", progress=False)
    assert (len(data.labelled), len(data.test)) == (4, 4)
    assert "every training image is a copy of a ranking or test image, the first is train/a: scores" in caplog.text
    for n in range(6):
        write(tmp_path / "same", f"photo{chr(97 + n)}", 1)
    data = load_data(f"folder:{tmp_path / 'same'}", progress=False)
    assert len(data.labelled) + len(data.test) == 6
    assert "the images show only 1 different picture" in caplog.text


@pytest.mark.parametrize("change", CHANGES)
def test_unlabelled_copies_of_test_images_are_left_out(tmp_path: Path, change: str) -> None:
    for seed in range(8):
        write(tmp_path, f"photo{chr(97 + seed)}", seed)
        write(tmp_path, f"again{chr(97 + seed)}", seed, change, mask=False, under="unlabelled")
    data = load_data(f"folder:{tmp_path}", progress=False, size=(24, 32))
    tested = {name[-1] for name in data.test.names}
    assert {name[-1] for name in data.unlabelled.names} == set("abcdefgh") - tested
    assert data.summary is not None and sum(out.count for out in data.summary.left_out) == len(tested)
