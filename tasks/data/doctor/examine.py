"""Examining a set: one look at each file, then every check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nas.tasks.data.doctor.checks.brightness import check_brightness
from nas.tasks.data.doctor.checks.classes import check_classes
from nas.tasks.data.doctor.checks.copies import check_copies
from nas.tasks.data.doctor.checks.depth import check_depth
from nas.tasks.data.doctor.checks.masks import check_masks
from nas.tasks.data.doctor.checks.objects import check_objects
from nas.tasks.data.doctor.checks.pairs import check_pairs
from nas.tasks.data.doctor.checks.reading import check_reading
from nas.tasks.data.doctor.checks.shapes import check_shapes
from nas.tasks.data.doctor.dividing import divided, divided_over
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.look import ImageLook, MaskLook, look_at_header, look_at_image, look_at_mask
from nas.tasks.data.doctor.members import Member, find_members
from nas.tasks.data.doctor.sizes import Size
from nas.tasks.data.parallel import progress_bar, threaded

__all__ = ["CHECKS", "examine", "examine_two", "findings"]

CHECKS: tuple[Callable[[Examined], list[Finding]], ...] = (
    check_reading,
    check_pairs,
    check_masks,
    check_depth,
    check_shapes,
    check_brightness,
    check_objects,
    check_classes,
    check_copies,
)


def examine(spec: str, labels: str | None = None, size: Size | None = None, progress: bool = False) -> Examined:
    """Look once at each file of a set, and divide it as a search would.

    Args:
        spec: KIND:PATH.
        labels, size: as for `load_data`.
        progress: whether to show progress on standard error.

    Raises:
        UserError: there is no such set, or nothing in it can be told apart.
    """
    return divided(_look(spec, size, progress), labels)


def examine_two(
    spec: str, unlabelled: str, labels: str | None = None, size: Size | None = None, progress: bool = False
) -> tuple[Examined, Examined]:
    """The same of a labelled set and another that is learnt from without labels, ranked and tested on.

    Raises:
        UserError: as for `examine`, and if their classes differ.
    """
    return divided_over(_look(spec, size, progress), _look(unlabelled, size, progress), labels)


def _look(spec: str, size: Size | None, progress: bool) -> Examined:
    members = find_members(spec, progress)
    files = members.members
    thumbnails = members.source.thumbnails if members.source is not None else {}

    def look(member: Member) -> ImageLook:
        thumbnail = thumbnails.get(member.name)
        return look_at_image(member.image) if thumbnail is None else look_at_header(member.image, thumbnail)

    with progress_bar(len(files), f"{spec} images", progress) as bar:
        images = threaded(look, files, bar)
    masked = {member.name: member.mask for member in files if member.mask is not None}
    meaning = members.source.masks if members.source is not None else None
    # Reading the set has counted most of them.
    looks = {count.path: MaskLook(count.path, None, count) for count in (meaning.counts if meaning is not None else ())}
    rest = [path for path in dict.fromkeys(masked.values()) if path not in looks]
    with progress_bar(len(rest), f"{spec} masks", progress) as bar:
        looks |= dict(zip(rest, threaded(look_at_mask, rest, bar), strict=True))
    return Examined(
        members,
        {member.name: look for member, look in zip(files, images, strict=True)},
        {name: looks[path] for name, path in masked.items()},
        size=size,
    )


def findings(seen: Examined) -> list[Finding]:
    """Everything that is wrong, or worth knowing: errors first."""
    found = [finding for check in CHECKS for finding in check(seen)]
    if seen.members.refused and not any(finding.severity == "error" for finding in found):
        found.append(Finding("error", f"A search refuses this set: {seen.members.refused}"))
    order = ("error", "warning", "note")
    # The set's own folder is said once, above all findings.
    short = [
        replace(finding, where=tuple(each.replace(f"{seen.members.root}/", "") for each in finding.where))
        for finding in found
    ]
    return sorted(short, key=lambda finding: order.index(finding.severity))
