"""Check sizes and aspect ratios of images."""

from __future__ import annotations

from collections import Counter

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.sizes import Size, same_shape, usual_shape
from nas.wording import counted

__all__ = ["check_shapes"]

TINY = 8
"""Pixels a side below which an image is tiny."""


def check_shapes(examined: Examined) -> list[Finding]:
    """Find tiny images, images of an unusual aspect ratio, and images of very different sizes."""
    sizes = {name: facts.size for name, facts in examined.readable.items()}
    if not sizes:
        return []
    return [*_tiny(examined, sizes), *_unusual_ratio(examined, sizes), *_mixed_sizes(sizes)]


def _tiny(examined: Examined, sizes: dict[str, Size]) -> list[Finding]:
    tiny = [name for name, size in sizes.items() if min(size) < TINY]
    where = tuple(f"{examined.images[name].path} ({_shown(sizes[name])})" for name in tiny)
    what = f"{counted(len(tiny), 'image')} of fewer than {TINY} pixels a side"
    return [Finding("warning", what, where, "Remove them.")] if tiny else []


def _unusual_ratio(examined: Examined, sizes: dict[str, Size]) -> list[Finding]:
    ratio, share = usual_shape(list(sizes.values()))
    unusual = [name for name, (height, width) in sizes.items() if not same_shape(width / height, ratio, 1.25)]
    if not unusual:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(unusual), 'image')} of another shape than most ({share:.0%} have width:height {ratio:.2f}): "
            "resizing squeezes them",
            tuple(f"{examined.images[name].path} ({_shown(sizes[name])})" for name in unusual),
            f"Crop them and their masks to about {ratio:.2f} times as wide as high.",
        )
    ]


def _mixed_sizes(sizes: dict[str, Size]) -> list[Finding]:
    lengths = sorted((height * width) ** 0.5 for height, width in sizes.values())
    small, large = lengths[len(lengths) // 20], lengths[-1 - len(lengths) // 20]
    if large <= 2 * small:
        return []
    common = ", ".join(f"{_shown(size)} ({count})" for size, count in Counter(sizes.values()).most_common(4))
    return [
        Finding(
            "note",
            f"Images of very different sizes, {small:.0f} to {large:.0f} pixels a side: the same object is "
            f"{large / small:.1f} times as large in some as in others after resizing to one size; "
            f"most common are {common}",
            fix="If the large ones show a larger area, not finer detail, cut them into tiles of the small size.",
        )
    ]


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
