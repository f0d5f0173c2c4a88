"""Print an examined data set on a terminal: facts, classes, findings, and the next command."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding, listed
from nas.tasks.data.doctor.sizes import usual_shape
from nas.tasks.data.palettes import Colour
from nas.wording import counted

__all__ = ["ClassRow", "class_rows", "class_table", "closing", "facts", "facts_text", "findings_text"]

WIDTH = 100
INDENT = 10

MOST_CLASSES = 40
"""Largest number of rows of the table of classes on a terminal; the page has all."""


def facts(examined: Examined) -> list[tuple[str, str]]:
    """Facts about a data set, each a word and a sentence."""
    members = examined.members
    masked = len(examined.masks)
    rows = [("images", f"{len(members.members)}, {masked} with a mask")]
    if examined.splits:
        counts = {split: f"{split} {len(names)}" for split, names in examined.splits.items()}
        if examined.folds:
            counts["validation"] = f"ranked on {examined.folds} folds of the labelled"
        rows.append(("splits", ", ".join(counts.values())))
    else:
        rows.append(("splits", f"none, since a search refuses this data set: {members.refusal}"))
    if members.source is not None:
        rows += [("left out", f"{out.count} {out.reason}, the first is {out.first}") for out in members.source.left_out]
    sizes = Counter(image.size for image in examined.readable.values())
    if sizes:
        common = ", ".join(f"{h}x{w} ({count})" for (h, w), count in sizes.most_common(3))
        more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
        ratio, share = usual_shape([image.size for image in examined.readable.values()])
        shape = (
            f"all {ratio:.2f} times as wide as high"
            if share == 1
            else f"{share:.0%} about {ratio:.2f} times as wide as high"
        )
        rows.append(("sizes", f"{common}{more}, {shape}"))
    if examined.suggested is not None:
        height, width = examined.suggested
        rows.append(("resizing", f"to {height}x{width} is suggested, or smaller if --max-time is short"))
    rows += [("read", note) for note in (members.source.notes if members.source is not None else ())]
    return rows


def facts_text(rows: Sequence[tuple[str, str]]) -> str:
    """Lay out facts in two columns."""
    return "\n".join(_wrapped(fact, f"{word:<{INDENT}}", " " * INDENT) for word, fact in rows)


@dataclass(frozen=True)
class ClassRow:
    """A class, its colour (None for void), and its share in each split."""

    name: str
    colour: Colour | None
    shares: tuple[str, ...]


def class_rows(examined: Examined) -> tuple[list[str], list[ClassRow]]:
    """Return the splits with labels, and the share of each class in their labelled pixels, of void in all pixels."""
    if examined.shares is None:
        return [], []
    shares = examined.shares
    splits = [split for split, counts in shares.pixels.items() if counts.sum()]
    rows = [
        ClassRow(name, colour, tuple(_percent(shares.share(split)[index]) for split in splits))
        for index, (name, colour) in enumerate(zip(shares.classes, examined.members.palette, strict=True))
    ]
    void = tuple(_percent(shares.void(split)) for split in splits)
    return splits, [*rows, ClassRow("void", None, void)]


def class_table(examined: Examined) -> str:
    """Lay out `class_rows` as a table, empty if the classes are unknown."""
    splits, rows = class_rows(examined)
    if not splits:
        return ""
    shown = rows if len(rows) <= MOST_CLASSES else [*rows[: MOST_CLASSES - 2], rows[-1]]
    wide = min(40, max(len("class"), *(len(row.name) for row in shown)))
    lines = [f"{'class':<{wide}}" + "".join(f"  {split:>10}" for split in splits)]
    for row in shown:
        name = row.name if len(row.name) <= wide else f"{row.name[: wide - 3]}..."
        lines.append(f"{name:<{wide}}" + "".join(f"  {share:>10}" for share in row.shares))
    if len(shown) < len(rows):
        lines.insert(-1, f"and {len(rows) - len(shown)} more classes")
    return textwrap.indent("\n".join(lines), " " * INDENT)


def findings_text(found: Sequence[Finding]) -> str:
    """Lay out findings, one paragraph each."""
    return "\n\n".join(_paragraph(finding) for finding in found)


def closing(found: Sequence[Finding], command: str) -> str:
    """Say how many errors and warnings there are, and the next command."""
    counts = Counter(finding.severity for finding in found)
    wrong = [counted(counts[kind], kind) for kind in ("error", "warning") if counts[kind]]
    if not wrong:
        return f"Nothing is wrong. Next:  {command}"
    return f"{' and '.join(wrong)}. {'Once fixed' if counts['error'] else 'Next'}:  {command}"


def _paragraph(finding: Finding) -> str:
    lines = [_wrapped(finding.what, f"{finding.severity:<{INDENT}}", " " * INDENT)]
    if finding.where:
        lines.append(_wrapped(listed(finding.where), " " * INDENT, " " * INDENT))
    if finding.fix:
        lines.append(_wrapped(finding.fix, " " * INDENT, " " * INDENT))
    return "\n".join(lines)


def _wrapped(text: str, first: str, rest: str) -> str:
    # Paths are not broken, so that they can be copied.
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _percent(share: float) -> str:
    if share == 0:
        return "-"
    return f"{share:.1%}" if share >= 0.001 else "<0.1%"
