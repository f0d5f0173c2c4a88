"""Check for images of more than 8 bits a channel among images of 8 bits."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.wording import counted

__all__ = ["check_depth"]


def check_depth(examined: Examined) -> list[Finding]:
    """Find a mix of depths: images of more than 8 bits are scaled, so that their brightness may differ."""
    deep = [facts for facts in examined.readable.values() if facts.deep]
    flat = [facts for facts in examined.readable.values() if not facts.deep]
    if not deep or not flat:
        return []
    few = min(deep, flat, key=len)
    return [
        Finding(
            "warning",
            f"{counted(len(deep), 'image')} of more than 8 bits a channel and {len(flat)} of 8: their brightness may "
            "differ",
            tuple(str(facts.path) for facts in few),
            "Export all images with the same depth.",
        )
    ]
