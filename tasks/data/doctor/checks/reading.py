"""Files that cannot be read, are not read, or stand for nothing."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.look import ImageLook, MaskLook
from nas.tasks.data.files import describe_unread
from nas.wording import counted

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
        # One line says how many of which format, names the first and what to do with each.
        told, _, advice = describe_unread(unread).partition(f", the first is {unread[0]}. ")
        found.append(Finding("warning", told, tuple(map(str, unread)), advice))
    if clashes := seen.members.same_stem:
        found.append(
            Finding(
                "error",
                f"{counted(len(clashes), 'name')} with several files: a mask cannot tell which is its own",
                tuple(" and ".join(str(path) for path in paths) for paths in clashes),
                "Rename or remove all but one of each.",
            )
        )
    known = ("masks without an image", "images in formats that are not read")
    return found + [Finding("warning", told) for told in seen.members.told if not told.startswith(known)]
