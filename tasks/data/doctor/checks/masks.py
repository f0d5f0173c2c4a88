"""Check masks for values of no class, soft edges, undeclared colours and compression with loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding, Severity
from nas.tasks.data.mask_counts import MaskCount, Tally, count_keys
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import Colour
from nas.tasks.data.sets import VOID
from nas.tasks.data.summary import void_warned
from nas.wording import counted

__all__ = ["check_masks", "histogram"]

SOFT = 8
"""Number of values between two levels from which on a mask has soft edges."""

REGIONS = 0.5
"""Smallest share of pixels with one of the two levels of a mask with soft edges."""

SAVE_SHARP = "Export the masks without smoothing: nearest neighbour, no anti-aliasing, PNG."


def check_masks(examined: Examined) -> list[Finding]:
    """Find masks with loss, soft edges, or colours or values of no class, and masks whose 255 may be a class."""
    counts = [facts.count for facts in examined.masks.values() if facts.count is not None]
    code = examined.members.code
    lossy = [count for count in counts if count.lossy]
    soft = [count for count in counts if not count.lossy and _soft(count, code)]
    hard = [count for count in counts if not count.lossy and not _soft(count, code)]
    undeclared = [count for count in hard if count_keys(count, code or MaskCode({}))[1] and not (code and code.colours)]
    found = [*_smoothed(examined, lossy, soft), *_undeclared_colours(undeclared)]
    if code is not None:
        found += _unknown([count for count in hard if count not in undeclared], code)
    return [*found, *_void_may_be_a_class(examined, hard)]


def histogram(counts: Mapping[Any, int], most: int = 6) -> str:
    """Describe the most frequent values by their shares, such as `0 71%, 255 28%, 23 others 1.30%`."""
    total = max(1, sum(counts.values()))
    common = Counter(counts).most_common()
    shown = sorted(common[:most]) if len(common) <= most else common[:most]
    parts = [f"{value} {_percent(count / total)}" for value, count in shown]
    if len(common) > most:
        rest = sum(count for _, count in common[most:])
        parts.append(f"{counted(len(common) - most, 'other')} {_percent(rest / total)}")
    return ", ".join(parts)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.2%}"


def _values(count: MaskCount, code: MaskCode | None) -> Mapping[int, int]:
    """Pixels of a mask by value, with grey colours as values."""
    values, colours = count_keys(count, code or MaskCode({}))
    if colours and all(len(set(colour)) == 1 for colour in colours):
        return {colour[0]: pixels for colour, pixels in colours.items()}
    return values


def _soft(count: MaskCount, code: MaskCode | None) -> bool:
    """Whether most pixels have one of two levels far apart, with many values in between."""
    values = _values(count, code)
    if len(values) < SOFT + 2:
        return False
    (one, n), (other, m) = max(
        ((pair, other) for pair in values.items() for other in values.items() if abs(pair[0] - other[0]) >= 64),
        key=lambda pairs: pairs[0][1] + pairs[1][1],
        default=((0, 0), (0, 0)),
    )
    between = [value for value in values if min(one, other) < value < max(one, other)]
    return len(between) >= SOFT and n + m >= REGIONS * sum(values.values())


def _smoothed(examined: Examined, lossy: Sequence[MaskCount], soft: Sequence[MaskCount]) -> list[Finding]:
    """Masks whose edges have values of no class; an error if a search refuses them."""
    code = examined.members.code
    severity: Severity = "warning" if code is not None and code.lossy and not examined.members.refusal else "error"
    read_as = ", read as two classes" if severity == "warning" else ""
    found = []
    for counts, what in ((lossy, "compressed with loss (JPEG)"), (soft, "with soft edges")):
        if counts:
            values = histogram(_values(counts[0], code) or counts[0].colours, 3)
            found.append(
                Finding(
                    severity,
                    f"{counted(len(counts), 'mask')} {what}, such as {values}{read_as}",
                    tuple(str(count.path) for count in counts),
                    SAVE_SHARP,
                )
            )
    return found


def _unknown(counts: Sequence[MaskCount], code: MaskCode) -> list[Finding]:
    """Masks with values or colours of no class."""
    total: Counter[str] = Counter()
    where = []
    for count in counts:
        values, colours = count_keys(count, code)
        mine: dict[Any, int] = {value: n for value, n in values.items() if value not in code.values}
        mine |= {colour: n for colour, n in colours.items() if colour not in code.colours}
        if mine:
            total.update({str(value): n for value, n in mine.items()})
            where.append(f"{count.path} ({', '.join(f'{value}: {n} pixels' for value, n in list(mine.items())[:3])})")
    if not where:
        return []
    listed = ", ".join(value for value, _ in total.most_common(5)) + (", ..." if len(total) > 5 else "")
    return [
        Finding(
            "error",
            f"{counted(len(where), 'mask')} with values of no class: {listed}",
            tuple(where),
            "Add them to classes.json, as a class or as void, or correct the masks.",
        )
    ]


def _undeclared_colours(counts: Sequence[MaskCount]) -> list[Finding]:
    if not counts:
        return []
    total: Counter[Colour] = Counter()
    for count in counts:
        total.update(count.colours)
    entries = ", ".join(f'{{"name": "...", "colour": {list(colour)}}}' for colour, _ in total.most_common(12))
    return [
        Finding(
            "error",
            f"{counted(len(counts), 'colour mask')} without declared classes ({histogram(total)})",
            tuple(str(count.path) for count in counts),
            f"Write classes.json beside the masks folder: [{entries}{', ...' if len(total) > 12 else ''}]",
        )
    ]


def _void_may_be_a_class(examined: Examined, counts: Sequence[MaskCount]) -> list[Finding]:
    """Masks without declared classes in which 255 follows levels far apart, so that it may be the brightest class.

    The reader itself warns if 255 is a large share of the pixels.
    """
    code, source = examined.members.code, examined.members.source
    if examined.members.table is not None or not examined.members.spec.startswith("folder:"):
        return []
    if code is None or code.values.get(VOID) != VOID or (source is not None and void_warned(source)):
        return []
    values = Tally(counts, code).values
    levels = sorted(set(values) - {VOID})
    if VOID not in values or len(levels) < 2 or max(levels) < 4 * len(levels):
        return []
    names = ", ".join(f'{{"name": "...", "value": {value}}}' for value in (*levels[:12], VOID))
    return [
        Finding(
            "warning",
            f"255 is read as void (no label), but beside {histogram(values)} it may be a class",
            fix=f"If it is a class, declare it in classes.json: [{names}]",
        )
    ]
