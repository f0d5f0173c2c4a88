"""The same picture under two names is on one side of every split, whatever its format, size and quality."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.tasks.data import load_data
from nas.tasks.data.copies import near_copies


def photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
    fine = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(fine + rng.normal(0, 6, fine.shape), 0, 255).astype(np.uint8)


CHANGES = {
    "bytes": (".png", 1.0, []),
    "jpeg": (".jpg", 1.0, [cv2.IMWRITE_JPEG_QUALITY, 40]),
    "webp": (".webp", 1.0, [cv2.IMWRITE_WEBP_QUALITY, 50]),
    "half": (".png", 0.5, []),
    "half jpeg": (".jpg", 0.5, [cv2.IMWRITE_JPEG_QUALITY, 60]),
    "larger": (".png", 1.7, []),
}


def write(root: Path, name: str, seed: int, change: str = "bytes", mask: bool = True, under: str = "images") -> None:
    suffix, scale, options = CHANGES[change]
    pixels = photo(seed)
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
def test_copies_stay_on_one_side(tmp_path: Path, change: str) -> None:
    data = load_data(f"folder:{twice(tmp_path, change)}", progress=False, size=(24, 32))
    learnt, tested = ({name[5:] for name in part.names} for part in (data.labelled, data.test))
    assert learnt and tested and not learnt & tested
    assert len(data.labelled) == 2 * len(learnt) and len(data.labelled) + len(data.test) == 28
    assert len(set(data.groups)) == len(learnt)
    assert data.summary is not None and data.summary.copies == 14
    assert any("copies of another image: 14" in line for line in data.summary.lines())


def test_other_photos_and_empty_ones_are_no_copies() -> None:
    pictures = np.stack([cv2.resize(photo(seed)[..., 0], (32, 32), interpolation=cv2.INTER_AREA) for seed in range(60)])
    dark = np.random.default_rng(0).poisson(1.5, (60, 32, 32)).astype(np.uint8)  # dim images with nothing in common
    for some in (pictures, dark, np.zeros((5, 32, 32), np.uint8)):
        assert [pair for pair in near_copies(some, some) if pair[0] != pair[1]] == []


def test_the_same_place_with_something_else_in_it_is_no_copy() -> None:
    picture = cv2.resize(photo(0)[..., 0], (32, 32), interpolation=cv2.INTER_AREA)
    other = picture.copy()
    other[10:13, 10:13] += 60
    assert not list(near_copies(picture[None], other[None]))


def test_copies_in_declared_splits_are_not_learnt_from(tmp_path: Path, caplog) -> None:
    for seed in range(8):
        write(tmp_path, f"train/{chr(97 + seed)}", seed)
    for seed in range(6, 11):
        write(tmp_path, f"test/{chr(97 + seed)}", seed, "half jpeg")
    data = load_data(f"folder:{tmp_path}", progress=False, size=(24, 32))
    assert data.labelled.names == tuple(f"train/{letter}" for letter in "abcdef")
    assert len(data.test) == 5
    assert "left out: 2 copies of images to rank or test on, the first is train/g" in caplog.text
    (tmp_path / "few.txt").write_text("train/a\ntrain/g\n")
    assert load_data(f"folder:{tmp_path}", str(tmp_path / "few.txt"), progress=False).labelled.names == ("train/a",)


def test_splits_and_sets_of_nothing_but_copies_are_warned_of(tmp_path: Path, caplog) -> None:
    for split in ("train", "test"):
        for seed in range(4):
            write(tmp_path, f"{split}/{chr(97 + seed)}", seed)
    data = load_data(f"folder:{tmp_path}", progress=False)
    assert (len(data.labelled), len(data.test)) == (4, 4)
    assert "every image to learn from is a copy of one to rank or test on, the first is train/a: scores" in caplog.text
    for n in range(6):
        write(tmp_path / "same", f"photo{chr(97 + n)}", 1)
    data = load_data(f"folder:{tmp_path / 'same'}", progress=False)
    assert len(data.labelled) + len(data.test) == 6
    assert "the images show 1 picture only" in caplog.text


@pytest.mark.parametrize("change", CHANGES)
def test_unlabelled_copies_of_tested_images_are_left_out(tmp_path: Path, change: str) -> None:
    for seed in range(8):
        write(tmp_path, f"photo{chr(97 + seed)}", seed)
        write(tmp_path, f"again{chr(97 + seed)}", seed, change, mask=False, under="unlabelled")
    data = load_data(f"folder:{tmp_path}", progress=False, size=(24, 32))
    tested = {name[-1] for name in data.test.names}
    assert {name[-1] for name in data.unlabelled.names} == set("abcdefgh") - tested
    assert data.summary is not None and sum(out.count for out in data.summary.left_out) == len(tested)
