"""Examine a data set: read each file once, then run every check."""

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
from nas.tasks.data.doctor.dividing import add_splits, add_splits_of_two
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.look import ImageFacts, MaskFacts, inspect_header, inspect_image, inspect_mask
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
    """Read each file of a data set once, and divide it into splits as a search does.

    Args:
        spec: KIND:PATH.
        labels, size: see `load_data`.
        progress: whether to show progress on standard error.

    Raises:
        UserError: there is no such data set, or it has no images.
    """
    return add_splits(_inspect_files(spec, size, progress), labels)


def examine_two(
    spec: str, unlabelled: str, labels: str | None = None, size: Size | None = None, progress: bool = False
) -> tuple[Examined, Examined]:
    """Examine a labelled data set and another one for domain adaptation, see `unlabelled` of `load_data`.

    Raises:
        UserError: as `examine`, or their classes differ.
    """
    examined, target = (_inspect_files(each, size, progress) for each in (spec, unlabelled))
    return add_splits_of_two(examined, target, labels)


def _inspect_files(spec: str, size: Size | None, progress: bool) -> Examined:
    members = find_members(spec, progress)
    files = members.members
    thumbnails = members.source.thumbnails if members.source is not None else {}

    def inspect(member: Member) -> ImageFacts:
        thumbnail = thumbnails.get(member.name)
        return inspect_image(member.image) if thumbnail is None else inspect_header(member.image, thumbnail)

    with progress_bar(len(files), f"{spec} images", progress) as bar:
        images = threaded(inspect, files, bar)
    masked = {member.name: member.mask for member in files if member.mask is not None}
    meaning = members.source.masks if members.source is not None else None
    # Most masks were counted when the data set was read.
    counts = meaning.counts if meaning is not None else ()
    masks = {count.path: MaskFacts(count.path, None, count) for count in counts}
    rest = [path for path in dict.fromkeys(masked.values()) if path not in masks]
    with progress_bar(len(rest), f"{spec} masks", progress) as bar:
        masks |= dict(zip(rest, threaded(inspect_mask, rest, bar), strict=True))
    return Examined(
        members,
        {member.name: facts for member, facts in zip(files, images, strict=True)},
        {name: masks[path] for name, path in masked.items()},
        size=size,
    )


def findings(examined: Examined) -> list[Finding]:
    """Run all checks; return their findings, errors first."""
    found = [finding for check in CHECKS for finding in check(examined)]
    if examined.members.refusal and not any(finding.severity == "error" for finding in found):
        found.append(Finding("error", f"A search refuses this data set: {examined.members.refusal}"))
    order = ("error", "warning", "note")
    # The folder of the data set is printed once, above the findings.
    short = [
        replace(finding, where=tuple(each.replace(f"{examined.members.root}/", "") for each in finding.where))
        for finding in found
    ]
    return sorted(short, key=lambda finding: order.index(finding.severity))
