"""Check for files that cannot be read, have an unsupported format, or share a name."""

from __future__ import annotations

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.look import ImageFacts, MaskFacts
from nas.tasks.data.files import describe_unsupported
from nas.wording import counted

__all__ = ["check_reading"]

REPORTED = ("without an image: not used", "unsupported formats: ")
"""Parts of the reader's warnings about what the checks report with all file names."""


def check_reading(examined: Examined) -> list[Finding]:
    """Find files that cannot be read, unsupported formats, names with several files, and warnings of the reader."""
    found = []
    files: list[ImageFacts | MaskFacts] = [*examined.images.values(), *examined.masks.values()]
    broken = [facts for facts in files if facts.error is not None]
    if broken:
        found.append(
            Finding(
                "error",
                f"{counted(len(broken), 'file')} cannot be read",
                tuple(str(facts.error) for facts in broken),
                "Replace each, or remove it together with its mask or image.",
            )
        )
    if unsupported := examined.members.unsupported:
        what, _, advice = describe_unsupported(unsupported).partition(f", the first is {unsupported[0]}. ")
        found.append(Finding("warning", what, tuple(map(str, unsupported)), advice))
    if clashes := examined.members.same_stem:
        found.append(
            Finding(
                "error",
                f"{counted(len(clashes), 'name')} with several files: a mask would match all of them",
                tuple(" and ".join(str(path) for path in paths) for paths in clashes),
                "Rename or remove all but one of each.",
            )
        )
    warnings = (warning for warning in examined.members.warnings if not any(part in warning for part in REPORTED))
    return found + [Finding("warning", warning) for warning in warnings]
