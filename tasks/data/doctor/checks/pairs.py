"""Images and masks that do not belong together: missing, of another size, or the same mask twice."""

from __future__ import annotations

from collections import defaultdict

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.masks import read_stored
from nas.wording import counted

__all__ = ["check_pairs"]


def check_pairs(seen: Examined) -> list[Finding]:
    """Images without masks, masks without images, pairs of two sizes, and one mask for several images."""
    return [*_bare(seen), *_lone(seen), *_of_two_sizes(seen), *_repeated(seen)]


def _bare(seen: Examined) -> list[Finding]:
    twins = {path for paths in seen.members.same_stem for path in paths}
    bare = [
        member
        for member in seen.members.members
        if member.mask is None and not member.name.startswith("unlabelled/") and member.image not in twins
    ]
    if not bare:
        return []
    return [
        Finding(
            "note",
            f"{counted(len(bare), 'image')} without a mask: learnt from without labels",
            tuple(str(member.image) for member in bare),
            "If they should have masks, give each mask the name of its image.",
        )
    ]


def _lone(seen: Examined) -> list[Finding]:
    lone = seen.members.lone_masks
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


def _of_two_sizes(seen: Examined) -> list[Finding]:
    """Pairs that differ in size, apart where the mask fits the photo as it was before EXIF turned it."""
    unlike: list[str] = []
    turned: list[str] = []
    for name, mask in seen.masks.items():
        image = seen.images[name]
        if image.fault is not None or mask.fault is not None or mask.size == image.size:
            continue
        where = f"{mask.path} ({_shown(mask.size)}, image {_shown(image.size)})"
        (turned if mask.size == image.stored else unlike).append(where)
    found = []
    if turned:
        found.append(
            Finding(
                "note",
                f"{counted(len(turned), 'mask')} in the order of the photo before EXIF turns it: turned with the photo",
                tuple(turned),
                "Look at an overlay (--out), since other tools may not turn them.",
            )
        )
    if unlike:
        found.append(
            Finding(
                "error",
                f"{counted(len(unlike), 'mask')} of another size than the image",
                tuple(unlike),
                "Export the masks at the size of the images, without interpolation.",
            )
        )
    return found


def _repeated(seen: Examined) -> list[Finding]:
    by_counts = defaultdict(list)
    for mask in {look.path: look for look in seen.masks.values()}.values():
        count = mask.count
        if count is not None and max(len(count.values), len(count.colours)) > 1:
            by_counts[count.size, tuple(count.values.items()), tuple(count.colours.items())].append(mask.path)
    # Only masks that hold as many pixels of each value are worth comparing pixel for pixel.
    by_content = defaultdict(list)
    for paths in by_counts.values():
        for path in paths if len(paths) > 1 else ():
            by_content[read_stored(path).pixels.tobytes()].append(str(path))
    twins = [paths for paths in by_content.values() if len(paths) > 1]
    if not twins:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(twins), 'mask')} given to several images, pixel for pixel",
            tuple(" and ".join(paths) for paths in twins),
            "Look at them: two different photos seldom have the same mask.",
        )
    ]


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
