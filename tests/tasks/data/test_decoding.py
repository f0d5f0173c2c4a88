"""Files of every format are decoded to the written pixels, upright, and errors name the file."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from nas.errors import UserError
from nas.tasks.data.decoding import BrokenImageError, Header, apply_orientation, read_header, stored_size
from nas.tasks.data.files import read_image

RGB = np.random.default_rng(4).integers(0, 256, (10, 6, 3), np.uint8)
GREY = RGB[..., 0]


def put(path: Path, image: Image.Image, kind: str, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind, **more)
    return path


def as_shown(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels as shown, by EXIF's table of where their row 0 and column 0 are shown."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: np.rot90(a, 2),
        4: lambda a: a[::-1],
        5: lambda a: np.rot90(a[:, ::-1], 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a[:, ::-1], -1),
        8: lambda a: np.rot90(a, 1),
    }
    return turns[orientation](pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation_is_applied_in_every_format(tmp_path: Path, kind: str, orientation: int) -> None:
    smooth = np.asarray(Image.fromarray(RGB).resize((24, 40)))  # so that JPEG nearly preserves it
    exif = Image.Exif()
    exif[0x0112] = orientation
    exact = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    path = put(tmp_path / f"x.{kind.lower()}", Image.fromarray(smooth), kind, exif=exif, **exact)
    wanted = as_shown(smooth, orientation)
    assert np.abs(read_image(path).astype(int) - wanted).max() <= (6 if kind == "JPEG" else 0)
    np.testing.assert_array_equal(apply_orientation(smooth, orientation), wanted)
    header = read_header(path)
    assert header == Header(wanted.shape[:2], orientation, False)
    assert header.stored == smooth.shape[:2]
    if kind != "TIFF":
        assert stored_size(path) == smooth.shape[:2]


def test_exif_after_the_pixels_of_a_png_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = io.BytesIO()
    Image.fromarray(RGB).save(plain, "PNG")
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = plain.getvalue()
    (tmp_path / "x.png").write_bytes(data[:-12] + chunk + data[-12:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.rot90(RGB, -1))
    assert read_header(tmp_path / "x.png") == Header((6, 10), 6, False)


def test_greyscale_palette_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    grey = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(put(tmp_path / "grey.png", Image.fromarray(GREY), "PNG")), grey)
    both = np.dstack([GREY, 255 - GREY])
    np.testing.assert_array_equal(read_image(put(tmp_path / "la.png", Image.fromarray(both, "LA"), "PNG")), grey)
    four = np.dstack([RGB, GREY])
    np.testing.assert_array_equal(read_image(put(tmp_path / "a.png", Image.fromarray(four), "PNG")), RGB)
    few = Image.fromarray(RGB).quantize(7)
    wanted = np.asarray(few.convert("RGB"))
    path = put(tmp_path / "p.png", few, "PNG", transparency=bytes([0, 9, 255]), bits=4)
    np.testing.assert_array_equal(read_image(path), wanted)
    bits = Image.fromarray(GREY > 99)
    np.testing.assert_array_equal(read_image(put(tmp_path / "1.tif", bits, "TIFF"))[..., 2], (GREY > 99) * 255)


def test_cmyk_equals_opencv(tmp_path: Path) -> None:
    smooth = Image.fromarray(RGB).resize((24, 40))
    path = put(tmp_path / "print.jpg", smooth.convert("CMYK"), "JPEG", quality=100)
    shown = cv2.imread(str(path))[..., ::-1]
    assert np.abs(read_image(path).astype(int) - shown).max() <= 3


def test_rgb_equals_opencv(tmp_path: Path) -> None:
    for kind in ("PNG", "BMP", "WEBP", "TIFF"):
        more = {"lossless": True} if kind == "WEBP" else {}
        path = put(tmp_path / f"x.{kind.lower()}", Image.fromarray(RGB), kind, **more)
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[..., ::-1])


def test_orientation_is_applied_once_to_files_that_opencv_decodes(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "x.png"), deep[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), RGB)
    exif = Image.Exif()
    exif[0x0112] = 8
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    data = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.rot90(RGB, 1))
    assert read_header(tmp_path / "x.png") == Header((6, 10), 8, True)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_truncated_file_is_broken(tmp_path: Path, kind: str) -> None:
    path = put(tmp_path / "x.img", Image.fromarray(RGB).resize((60, 90)), kind)
    data = path.read_bytes()
    for cut in (20, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:cut])
        with pytest.raises(BrokenImageError, match=r"x\.img is broken.* copy it again"):
            read_image(path)


def png(height: int, width: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("height", "width"), [(100_000, 100_000), (33_000, 33_000), (20_000, 15_000)])
def test_too_many_pixels_are_reported(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "map.png"
    path.write_bytes(png(height, width))
    with pytest.raises(BrokenImageError, match=r"map\.png is too large: .*million.* cut it into tiles") as told:
        read_image(path)
    assert "broken" not in str(told.value)
    assert read_header(path) is None


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("IMG_9.HEIC", HEIC, "is a HEIC image, an unsupported format: convert to JPEG"),
        ("IMG_9.jpg", HEIC, "is a HEIC image, an unsupported format: convert to JPEG"),
        ("a.avif", b"\0\0\0\x20ftypavif" + bytes(50), "is an AVIF image, an unsupported format: convert to JPEG"),
        ("a.png", b"GIF89a" + bytes(50), "is a GIF image, an unsupported format: convert to PNG"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50), "is a JPEG 2000 image"),
        ("a.nef", b"MM\0" + bytes(50), "is a camera raw image, an unsupported format: develop"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "run git lfs pull"),
        ("a.jpg", b"<!DOCTYPE html><html><body>404</body></html>", "download it again"),
        ("a.jpg", b"nonsense", r"is broken \(8 bytes that do not decode\)"),
        ("a.tif", b"II*\0nonsense", "is broken, or of an unsupported kind: copy it again, or save it as PNG"),
    ],
)
def test_error_names_what_the_file_is_instead(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=what):
        read_image(tmp_path / name)
    assert read_header(tmp_path / name) is None
