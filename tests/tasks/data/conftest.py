"""Small made-up data sets on disk, in the layouts of real ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def write_image() -> Callable[..., np.ndarray]:
    """Write a random RGB image of a size (H, W) and return its pixels."""

    def write(path: Path, size: tuple[int, int] = (12, 16), seed: int = 0) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
        assert cv2.imwrite(str(path), image[..., ::-1])
        return image

    return write


@pytest.fixture
def write_mask() -> Callable[[Path, np.ndarray], None]:
    """Write a mask: H x W values, or H x W x 3 RGB."""

    def write(path: Path, mask: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.asarray(mask, np.uint8)
        assert cv2.imwrite(str(path), mask[..., ::-1] if mask.ndim == 3 else mask)

    return write


@pytest.fixture
def write_palette_png() -> Callable[..., None]:
    """Write an index image with a palette, by the PNG specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def write(path: Path, index: np.ndarray, palette: np.ndarray, bits: int = 8) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = index.shape
        rows = []
        for row in index:
            places = "".join(format(int(value), f"0{bits}b") for value in row)
            places += "0" * (-len(places) % 8)
            rows.append(b"\x00" + int(places, 2).to_bytes(len(places) // 8, "big"))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0))
            + chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())
            + chunk(b"IDAT", zlib.compress(b"".join(rows)))
            + chunk(b"IEND", b"")
        )

    return write


@pytest.fixture
def make_folder(tmp_path: Path, write_image: Callable, write_mask: Callable) -> Callable[..., Path]:
    """Make a `folder:` data set of photos, with masks of the values 0 to 2 and some void."""

    def make(count: int = 12, name: str = "mine", size: tuple[int, int] = (12, 16)) -> Path:
        root = tmp_path / name
        for number in range(count):
            stem = chr(ord("a") + number // 26) + chr(ord("a") + number % 26)
            write_image(root / "images" / f"{stem}.png", size, seed=number)
            mask = np.random.default_rng(number).integers(0, 3, size)
            mask[0] = 255
            write_mask(root / "masks" / f"{stem}.png", mask)
        return root

    return make
