"""Check pairs of images and masks: one is missing, sizes differ, or a mask belongs to several images."""

from __future__ import annotations

from collections import defaultdict

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.masks import read_stored
from nas.wording import counted

__all__ = ["check_pairs"]


def check_pairs(examined: Examined) -> list[Finding]:
    """Find images without masks, masks without images, pairs of different sizes, and repeated masks."""
    return [
        *_without_mask(examined),
        *_without_image(examined),
        *_of_different_sizes(examined),
        *_repeated_masks(examined),
    ]


def _without_mask(examined: Examined) -> list[Finding]:
    twins = {path for paths in examined.members.same_stem for path in paths}
    bare = [
        member
        for member in examined.members.members
        if member.mask is None and not member.name.startswith("unlabelled/") and member.image not in twins
    ]
    if not bare:
        return []
    return [
        Finding(
            "note",
            f"{counted(len(bare), 'image')} without a mask: used without labels",
            tuple(str(member.image) for member in bare),
            "If they should have masks, give each mask the name of its image.",
        )
    ]


def _without_image(examined: Examined) -> list[Finding]:
    lone = examined.members.lone_masks
    if not lone:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(lone), 'mask')} without an image: not used",
            tuple(map(str, lone)),
            "Give each the name of its image, or remove it.",
        )
    ]


def _of_different_sizes(examined: Examined) -> list[Finding]:
    """Pairs of different sizes; masks with the shape of the stored pixels of their photo are only a note."""
    different: list[str] = []
    rotated: list[str] = []
    for name, mask in examined.masks.items():
        image = examined.images[name]
        if image.error is not None or mask.error is not None or mask.size == image.size:
            continue
        where = f"{mask.path} ({_shown(mask.size)}, image {_shown(image.size)})"
        (rotated if mask.size == image.stored else different).append(where)
    found = []
    if rotated:
        found.append(
            Finding(
                "note",
                f"{counted(len(rotated), 'mask')} with the shape of the stored pixels: rotated with the photo by EXIF",
                tuple(rotated),
                "Look at an overlay (--out), since other tools may not rotate them.",
            )
        )
    if different:
        found.append(
            Finding(
                "error",
                f"{counted(len(different), 'mask')} of another size than the image",
                tuple(different),
                "Export the masks at the size of the images, without interpolation.",
            )
        )
    return found


def _repeated_masks(examined: Examined) -> list[Finding]:
    by_counts = defaultdict(list)
    for mask in {facts.path: facts for facts in examined.masks.values()}.values():
        count = mask.count
        if count is not None and max(len(count.values), len(count.colours)) > 1:
            by_counts[count.size, tuple(count.values.items()), tuple(count.colours.items())].append(mask.path)
    # Only masks with equal counts of each value need to be compared pixel by pixel.
    by_content = defaultdict(list)
    for paths in by_counts.values():
        for path in paths if len(paths) > 1 else ():
            by_content[read_stored(path).pixels.tobytes()].append(str(path))
    repeated = [paths for paths in by_content.values() if len(paths) > 1]
    if not repeated:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(repeated), 'mask')} equal for several images, pixel by pixel",
            tuple(" and ".join(paths) for paths in repeated),
            "Look at them: different photos rarely have the same mask.",
        )
    ]


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
