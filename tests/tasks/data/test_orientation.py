"""Photos that EXIF rotates, with masks in the order of the shown or of the stored pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.tasks.data import open_source
from nas.tasks.data.decoding import apply_orientation

BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""Inverse of each orientation."""


def scene(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture with a bright block in its upper left half, as shown, and its mask."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (*size, 3), np.uint8)
    top, left = (int(rng.integers(1, side // 3)) for side in size)
    where = np.s_[top : top + size[0] // 3, left : left + size[1] // 3]
    image[where] = rng.integers(180, 250, 3)
    mask = np.zeros(size, np.uint8)
    mask[where] = 1
    return image, mask


def save(path: Path, pixels: np.ndarray, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def folder(
    root: Path, orientation: int, size: tuple[int, int], order: str, suffix: str = ".png", count: int = 8
) -> Path:
    """Write photos with masks in the shown order, in the stored order, or in the stored order with an EXIF tag."""
    for number in range(count):
        image, mask = scene(number, size)
        stem = f"p{chr(97 + number)}"
        save(root / "images" / f"{stem}.png", apply_orientation(image, BACK[orientation]), orientation)
        mask = mask if order == "shown" else apply_orientation(mask, BACK[orientation])
        save(root / "masks" / f"{stem}.png", mask, orientation if order == "tagged" else 1)
    return root


def fits(root: Path) -> bool:
    """Whether every mask lies on the bright block of its photo."""
    pairs = [item.pair() for item in open_source(f"folder:{root}").pool]
    return all(((image.min(-1) > 100) == (mask == 1)).all() for image, mask in pairs)


@pytest.mark.parametrize("order", ["shown", "stored", "tagged"])
@pytest.mark.parametrize(
    ("orientation", "size"), [(6, (24, 16)), (8, (24, 16)), (5, (24, 16)), (3, (24, 16)), (6, (20, 20)), (2, (20, 24))]
)
def test_masks_fit_their_photos_in_any_order(
    tmp_path: Path, orientation: int, size: tuple[int, int], order: str
) -> None:
    root = folder(tmp_path / "set", orientation, size, order)
    assert fits(root)
    notes = " ".join(open_source(f"folder:{root}").notes)
    assert "8 images rotated upright by their EXIF orientation" in notes
    assert ("rotated with the photo" in notes) == (order == "stored")


@pytest.mark.parametrize("suffix", [".webp", ".tif"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    root = tmp_path / "set"
    for number in range(8):
        image, mask = scene(number, (24, 16))
        path = root / "images" / f"p{chr(97 + number)}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(apply_orientation(image, 8)).save(
            path, exif=exif, **({"lossless": True} if suffix == ".webp" else {})
        )
        save(root / "masks" / f"{path.stem}.png", apply_orientation(mask, 8))
    assert fits(root)


def test_masks_of_the_same_shape_follow_those_whose_shape_decides(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", 6, (24, 16), "stored", count=6)
    for number in range(6, 9):
        image, mask = scene(number, (24, 16))
        flat = np.full_like(image, 90)  # plain, so that the content does not decide
        save(root / "images" / f"p{chr(97 + number)}.png", flat, 3)
        save(root / "masks" / f"p{chr(97 + number)}.png", mask)
    source = open_source(f"folder:{root}")
    orientations = {item.name: item.mask_orientation for item in (*source.pool, *source.validation, *source.test)}
    assert set(orientations.values()) == {3, 6} and orientations["pg"] == 3


def test_undecided_orientation_is_warned_of(tmp_path: Path, caplog) -> None:
    root = folder(tmp_path / "set", 3, (24, 16), "shown")
    for path in (root / "images").iterdir():
        save(path, np.random.default_rng(0).integers(0, 255, (24, 16, 3), np.uint8), 3)
    source = open_source(f"folder:{root}")
    assert {item.mask_orientation for item in source.pool} == {1}
    assert "8 photos rotated by EXIF with masks of the same shape either way" in caplog.text
    assert "mogrify -auto-orient" in caplog.text


def test_upright_photos_are_unchanged(tmp_path: Path, caplog) -> None:
    root = folder(tmp_path / "set", 1, (24, 16), "shown")
    source = open_source(f"folder:{root}")
    assert not [note for note in source.notes if "EXIF" in note] and "EXIF" not in caplog.text
