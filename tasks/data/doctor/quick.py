"""The quick part of the doctor, on a set that is in memory: what a search says of its data before it starts."""

from __future__ import annotations

from nas.tasks.data.doctor.checks.brightness import dull
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.sets import FewLabelData, ImageSet
from nas.tasks.data.summary import Summary

__all__ = ["quick_check"]


def quick_check(data: FewLabelData) -> list[Finding]:
    """What loading a set warned of, and images that show nothing.

    It takes milliseconds for a hundred images, reads no file and loads no torch.
    """
    parts = {id(part): part for part in (data.labelled, data.unlabelled, data.validation, data.test)}
    measured = [each for images in parts.values() for each in _measured(images)]
    summary: Summary | None = data.summary
    warnings = summary.warnings if summary is not None else ()
    return [*(Finding("warning", warning) for warning in warnings), *dull(measured)]


def _measured(images: ImageSet) -> list[tuple[str, float, float]]:
    """The name of each image, and mean and standard deviation of its green channel, which is close to grey."""
    green = (image[..., 1] for image in images.images)
    return [(name, float(each.mean()), float(each.std())) for name, each in zip(images.names, green, strict=True)]
