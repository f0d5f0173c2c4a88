"""Images of more than 8 bits beside others of 8."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.wording import counted

__all__ = ["check_depth"]


def check_depth(seen: Examined) -> list[Finding]:
    """A set of mixed depths: each kind is scaled by a rule of its own, so that their brightness may not compare."""
    deep = [look for look in seen.readable.values() if look.deep]
    flat = [look for look in seen.readable.values() if not look.deep]
    if not deep or not flat:
        return []
    few = min(deep, flat, key=len)
    return [
        Finding(
            "warning",
            f"{counted(len(deep), 'image')} of more than 8 bits a channel and {len(flat)} of 8: their brightness may "
            "not compare",
            tuple(str(look.path) for look in few),
            "Export all images alike.",
        )
    ]
