"""Quick checks of a loaded data set, which a search runs before it starts."""

from __future__ import annotations

from nas.tasks.data.doctor.checks.brightness import blank_images
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.sets import FewLabelData, ImageSet
from nas.tasks.data.summary import Summary

__all__ = ["quick_check"]


def quick_check(data: FewLabelData) -> list[Finding]:
    """Return the warnings of loading a data set, and images that show nothing.

    This takes milliseconds for a hundred images, reads no files and does not load torch.
    """
    parts = {id(part): part for part in (data.labelled, data.unlabelled, data.validation, data.test)}
    measured = [each for images in parts.values() for each in _measured(images)]
    summary: Summary | None = data.summary
    warnings = summary.warnings if summary is not None else ()
    return [*(Finding("warning", warning) for warning in warnings), *blank_images(measured)]


def _measured(images: ImageSet) -> list[tuple[str, float, float]]:
    """Name, mean and standard deviation of the green channel of each image, which is close to its grey values."""
    green = (image[..., 1] for image in images.images)
    return [(name, float(each.mean()), float(each.std())) for name, each in zip(images.names, green, strict=True)]
