"""Supported image formats, and advice on unsupported ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from nas.wording import counted

__all__ = ["IMAGE_SUFFIXES", "PILLOW_FORMATS", "describe_unsupported", "is_unsupported", "unsupported_format"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp")

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
"""Formats that Pillow may read; JPEG includes the MPO files of phones, which hold further pictures after the first."""

_TO_JPEG = 'convert to JPEG, for example by ImageMagick\'s "magick mogrify -format jpg *{suffix}"'
_TO_PNG = 'convert to PNG, for example by ImageMagick\'s "magick mogrify -format png *{suffix}"'
_DEVELOP = "develop to JPEG or TIFF with the camera's or a raw converter"
_EXPORT = "export as PNG, or as TIFF of 8 or 16 bits"

_UNSUPPORTED: dict[str, tuple[str, str]] = {
    ".heic": ("HEIC", _TO_JPEG),
    ".heif": ("HEIF", _TO_JPEG),
    ".avif": ("AVIF", _TO_JPEG),
    ".gif": ("GIF", _TO_PNG),
    ".jp2": ("JPEG 2000", _TO_PNG),
    ".j2k": ("JPEG 2000", _TO_PNG),
    ".jxl": ("JPEG XL", _TO_PNG),
    ".jxr": ("JPEG XR", _TO_PNG),
    ".ppm": ("PPM", _TO_PNG),
    ".pgm": ("PGM", _TO_PNG),
    ".pbm": ("PBM", _TO_PNG),
    ".tga": ("TGA", _TO_PNG),
    ".ico": ("ICO", _TO_PNG),
    ".psd": ("Photoshop", _EXPORT),
    ".xcf": ("GIMP", _EXPORT),
    ".svg": ("SVG", _EXPORT),
    ".pdf": ("PDF", _EXPORT),
    ".exr": ("OpenEXR", _EXPORT),
    ".hdr": ("HDR", _EXPORT),
    ".dcm": ("DICOM", _EXPORT),
    ".nii": ("NIfTI", _EXPORT),
    ".npy": ("NumPy", _EXPORT),
    ".npz": ("NumPy", _EXPORT),
    ".mat": ("MATLAB", _EXPORT),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"), ("camera raw", _DEVELOP)),
}
"""Name of each unsupported format by suffix, and what to do with such files."""

_BRANDS = {b"avif": ".avif", b"avis": ".avif"} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), ".heic"
)
_STARTS = {
    b"GIF8": ".gif",
    b"\0\0\0\x0cjP  ": ".jp2",
    b"\xff\x4f\xff\x51": ".j2k",
    b"\0\0\0\x0cJXL ": ".jxl",
    b"\xff\x0a": ".jxl",
    b"8BPS": ".psd",
    b"gimp xcf": ".xcf",
    b"%PDF": ".pdf",
    b"\x76\x2f\x31\x01": ".exr",
    b"\x93NUMPY": ".npy",
    b"P3": ".ppm",
    b"P6": ".ppm",
    b"P5": ".pgm",
}


def is_unsupported(path: Path) -> bool:
    """Whether a file has the suffix of an unsupported image format."""
    return path.suffix.lower() in _UNSUPPORTED


def unsupported_format(data: bytes, path: Path) -> str | None:
    """Say what a file is instead of an image and what to do, by its first bytes or its name; None if unknown."""
    if data.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the image itself: run git lfs pull"
    if data[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page saved instead of an image: download it again"
    suffix = _BRANDS.get(data[8:12]) if data[4:8] == b"ftyp" else None
    suffix = suffix or next((kind for start, kind in _STARTS.items() if data.startswith(start)), None)
    suffix = suffix or (path.suffix.lower() if is_unsupported(path) else None)
    if suffix is None:
        return None
    name, advice = _UNSUPPORTED[suffix]
    article = "an" if name[0] in "AIO" else "a"
    return f"is {article} {name} image, an unsupported format: {advice.format(suffix=path.suffix or suffix)}"


def describe_unsupported(paths: Sequence[Path]) -> str:
    """Say in one line how many files of which unsupported formats there are, the first, and what to do with them."""
    kinds = Counter(_UNSUPPORTED[path.suffix.lower()][0] for path in paths)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    first: dict[str, str] = {}
    for path in paths:
        name, advice = _UNSUPPORTED[path.suffix.lower()]
        first.setdefault(name, f"{name}: {advice.format(suffix=path.suffix)}")
    what_to_do = "; ".join(first[kind] for kind, _ in kinds.most_common(3))
    images = counted(len(paths), "image")
    return f"unsupported formats: {images} left out ({counts}), the first is {paths[0]}. {what_to_do}"
