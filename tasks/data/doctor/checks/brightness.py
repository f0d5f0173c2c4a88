"""Images that show nothing: nearly black, nearly white or flat."""

from __future__ import annotations

from nas.wording import counted
from tasks.data.doctor.examined import Examined
from tasks.data.doctor.finding import Finding

__all__ = ["check_brightness"]

BLACK, WHITE = 8.0, 247.0
"""Mean grey values beyond which an image shows nothing."""

FLAT = 2.0
"""A standard deviation of grey values under which an image is one tone."""


def check_brightness(seen: Examined) -> list[Finding]:
    """Nearly black, white or flat images; a set of which most are dark is dark by nature, and depth tells of that."""
    dull = {
        name: look
        for name, look in seen.readable.items()
        if not BLACK <= look.brightness <= WHITE or look.contrast < FLAT
    }
    if not dull:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(dull), 'image')} nearly black, white or of one tone",
            tuple(f"{look.path} (mean grey {look.brightness:.0f} of 255)" for look in dull.values()),
            "Look at them: a failed export or a covered lens teaches nothing.",
        )
    ]
