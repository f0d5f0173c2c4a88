"""Images that show nothing: nearly black, nearly white or flat."""

from __future__ import annotations

from collections.abc import Iterable

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.wording import counted

__all__ = ["check_brightness", "dull"]

BLACK, WHITE = 8.0, 247.0
"""Mean grey values beyond which an image shows nothing."""

FLAT = 2.0
"""A standard deviation of grey values under which an image is one tone."""


def check_brightness(seen: Examined) -> list[Finding]:
    """Nearly black, white or flat images."""
    return dull((str(look.path), look.brightness, look.contrast) for look in seen.readable.values())


def dull(images: Iterable[tuple[str, float, float]]) -> list[Finding]:
    """Images that show nothing, of names with the mean and standard deviation of their grey values."""
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
            "Look at them: a failed export or a covered lens teaches nothing.",
        )
    ]
