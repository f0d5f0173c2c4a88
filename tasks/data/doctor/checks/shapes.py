"""Sizes and shapes of images, and the working size that suits them."""

from __future__ import annotations

from collections import Counter

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.sizes import Size, same_shape, usual_shape
from nas.wording import counted

__all__ = ["check_shapes"]

TINY = 8


def check_shapes(seen: Examined) -> list[Finding]:
    """Images of another shape than most, which resizing squeezes, and images of very different resolution."""
    sizes = {name: look.size for name, look in seen.readable.items()}
    if not sizes:
        return []
    return [*_tiny(seen, sizes), *_odd(seen, sizes), *_mixed(sizes)]


def _tiny(seen: Examined, sizes: dict[str, Size]) -> list[Finding]:
    tiny = [name for name, size in sizes.items() if min(size) < TINY]
    where = tuple(f"{seen.images[name].path} ({_shown(sizes[name])})" for name in tiny)
    what = f"{counted(len(tiny), 'image')} of fewer than {TINY} pixels a side"
    return [Finding("warning", what, where, "Remove them.")] if tiny else []


def _odd(seen: Examined, sizes: dict[str, Size]) -> list[Finding]:
    ratio, share = usual_shape(list(sizes.values()))
    odd = [name for name, (height, width) in sizes.items() if not same_shape(width / height, ratio, 1.25)]
    if not odd:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(odd), 'image')} of another shape than most ({share:.0%} have width:height {ratio:.2f}): "
            "resizing squeezes them",
            tuple(f"{seen.images[name].path} ({_shown(sizes[name])})" for name in odd),
            f"Crop them and their masks to about {ratio:.2f} times as wide as high.",
        )
    ]


def _mixed(sizes: dict[str, Size]) -> list[Finding]:
    lengths = sorted((height * width) ** 0.5 for height, width in sizes.values())
    small, large = lengths[len(lengths) // 20], lengths[-1 - len(lengths) // 20]
    if large <= 2 * small:
        return []
    common = ", ".join(f"{_shown(size)} ({count})" for size, count in Counter(sizes.values()).most_common(4))
    return [
        Finding(
            "note",
            f"Images of very different sizes, {small:.0f} to {large:.0f} pixels a side: the same object is "
            f"{large / small:.1f} times as large in some as in others once all are brought to one size; "
            f"most common are {common}",
            mend="If the large ones show more rather than finer, cut them into tiles of the size of the small ones.",
        )
    ]


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
