"""Check for images that show nothing: nearly black, nearly white, or of one tone."""

from __future__ import annotations

from collections.abc import Iterable

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.wording import counted

__all__ = ["blank_images", "check_brightness"]

BLACK, WHITE = 8.0, 247.0
"""Mean grey values below and above which an image shows nothing."""

FLAT = 2.0
"""Standard deviation of grey values below which an image is of one tone."""


def check_brightness(examined: Examined) -> list[Finding]:
    """Find images that show nothing."""
    return blank_images((str(facts.path), facts.brightness, facts.contrast) for facts in examined.readable.values())


def blank_images(images: Iterable[tuple[str, float, float]]) -> list[Finding]:
    """Find images that show nothing, by the statistics of their grey values.

    Args:
        images: name, mean and standard deviation of the grey values of each image.
    """
    found = [
        f"{name} (mean grey {mean:.0f} of 255)"
        for name, mean, deviation in images
        if not BLACK <= mean <= WHITE or deviation < FLAT
    ]
    if not found:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(found), 'image')} nearly black, white or of one tone",
            tuple(found),
            "Look at them, and remove failed exports and photos of a covered lens.",
        )
    ]
