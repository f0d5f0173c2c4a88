"""Files that cannot be read, are not read, or stand for nothing."""

from __future__ import annotations

from nas.wording import counted
from tasks.data.doctor.examined import Examined
from tasks.data.doctor.finding import Finding
from tasks.data.doctor.look import ImageLook, MaskLook

__all__ = ["check_reading"]


def check_reading(seen: Examined) -> list[Finding]:
    """Unreadable images and masks, formats that are not read, and files whose names clash."""
    found = []
    looks: list[ImageLook | MaskLook] = [*seen.images.values(), *seen.masks.values()]
    broken = [look for look in looks if look.fault is not None]
    if broken:
        found.append(
            Finding(
                "error",
                f"{counted(len(broken), 'file')} cannot be read",
                tuple(str(look.fault) for look in broken),
                "Replace each, or remove it and the image or mask that belongs to it.",
            )
        )
    if unread := seen.members.unread:
        kinds = ", ".join(sorted({path.suffix.lower().removeprefix(".").upper() for path in unread}))
        found.append(
            Finding(
                "warning",
                f"{counted(len(unread), 'file')} of a format that is not read ({kinds})",
                tuple(map(str, unread)),
                "Save them as JPEG or PNG.",
            )
        )
    if clashes := seen.members.same_stem:
        found.append(
            Finding(
                "error",
                f"{counted(len(clashes), 'name')} with several files: a mask cannot tell which is its own",
                tuple(" and ".join(str(path) for path in paths) for paths in clashes),
                "Rename or remove all but one of each.",
            )
        )
    return found
