"""What masks hold: values that are no class, soft edges, colours without a table, compression with loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nas.wording import counted
from tasks.data.doctor.examined import Examined
from tasks.data.doctor.finding import Finding
from tasks.data.doctor.look import MaskLook
from tasks.data.masks import MaskCode
from tasks.data.palettes import Colour
from tasks.data.sets import VOID

__all__ = ["check_masks", "histogram"]

SOFT = 8
"""Values between the outermost two from which a mask has soft edges rather than classes."""

FEW = 0.1
"""The largest share of pixels that soft edges have."""


def check_masks(seen: Examined) -> list[Finding]:
    """Masks that are compressed with loss, soft, of unknown colours or values, or whose 255 may be a class."""
    looks = [look for look in seen.masks.values() if look.fault is None]
    lossy = [look for look in looks if look.lossy]
    exact = [look for look in looks if not look.lossy]
    soft = [look for look in exact if _soft(look)]
    hard = [look for look in exact if not _soft(look)]
    code = seen.members.code
    return [
        *_lossy(lossy),
        *_softened(soft),
        *(_unknown(hard, code) if code is not None else _uncoded(hard)),
        *_hidden_class(seen, hard),
    ]


def histogram(counts: Mapping[Any, int], most: int = 6) -> str:
    """The most frequent values with their shares: "0 71 %, 255 28 %, 23 others 1.3 %"."""
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


def _soft(look: MaskLook) -> bool:
    """Whether nearly all pixels are of the darkest and brightest value and the others are many: a blurred edge."""
    if look.many:
        return True
    values = look.values
    if len(values) < SOFT + 2 or max(values) - min(values) < 2 * SOFT:
        return False
    between = sum(values.values()) - values[min(values)] - values[max(values)]
    return between <= FEW * sum(values.values())


def _lossy(looks: list[MaskLook]) -> list[Finding]:
    if not looks:
        return []
    return [
        Finding(
            "error",
            f"{counted(len(looks), 'mask')} compressed with loss: values change along every edge "
            f"({histogram(looks[0].values or looks[0].colours)})",
            tuple(str(look.path) for look in looks),
            "Export the masks anew as PNG; to save a JPEG as PNG does not bring the values back.",
        )
    ]


def _softened(looks: list[MaskLook]) -> list[Finding]:
    if not looks:
        return []
    return [
        Finding(
            "warning",
            f"{counted(len(looks), 'mask')} with soft edges, as smoothing or resizing leaves them"
            + (f" ({histogram(looks[0].values, 3)})" if looks[0].values else ""),
            tuple(str(look.path) for look in looks),
            "Export the masks without anti-aliasing, or resize them by nearest neighbour.",
        )
    ]


def _unknown(looks: list[MaskLook], code: MaskCode) -> list[Finding]:
    """Values or colours that are no class."""
    strange: dict[str, int] = Counter()
    where = []
    for look in looks:
        by_colour = bool(code.colours) and not code.by_index and bool(look.colours)
        counts: Mapping[Any, int] = look.colours if by_colour else look.values
        known: Mapping[Any, int] = code.colours if by_colour else code.values
        if look.colours and not look.values and not code.colours:
            continue
        mine = {value: count for value, count in counts.items() if value not in known}
        if mine:
            strange.update({str(value): count for value, count in mine.items()})
            where.append(f"{look.path} ({histogram(mine, 3)})")
    coloured = [look for look in looks if look.colours and not look.values and not code.colours]
    found = _colours_untold(coloured)
    if where:
        values = ", ".join(value for value, _ in Counter(strange).most_common(5))
        found.append(
            Finding(
                "error",
                f"{counted(len(where), 'mask')} with values that are no class: {values}",
                tuple(where),
                "Add them to classes.json, as a class or as void, or correct the masks.",
            )
        )
    return found


def _uncoded(looks: list[MaskLook]) -> list[Finding]:
    return _colours_untold([look for look in looks if look.colours and not look.values])


def _colours_untold(looks: list[MaskLook]) -> list[Finding]:
    if not looks:
        return []
    total: Counter[Colour] = Counter()
    for look in looks:
        total.update(look.colours)
    entries = ", ".join(f'{{"name": "...", "colour": {list(colour)}}}' for colour, _ in total.most_common(3))
    return [
        Finding(
            "error",
            f"{counted(len(looks), 'colour mask')}, and nothing says which colour is which class ({histogram(total)})",
            tuple(str(look.path) for look in looks),
            f"Write classes.json beside the masks: [{entries}, ...]",
        )
    ]


def _hidden_class(seen: Examined, looks: list[MaskLook]) -> list[Finding]:
    """255 beside other values, in a set without a table: void by custom, but perhaps the brightest class."""
    if seen.members.table is not None or not seen.members.spec.startswith("folder:"):
        return []
    total: Counter[int] = Counter()
    for look in looks:
        total.update(look.values)
    share = total[VOID] / max(1, sum(total.values()))
    levels = sorted(set(total) - {VOID})
    spread = len(levels) > 1 and max(levels) >= 2 * len(levels)
    if VOID not in total or len(levels) < 2 or not (spread or share > FEW):
        return []
    names = ", ".join(f'{{"name": "...", "value": {value}}}' for value in (*levels[:3], VOID))
    return [
        Finding(
            "warning",
            f"The value 255 is taken for void, {share:.0%} of all pixels; beside {histogram(total)} it may be a class",
            mend=f"If it is a class, write classes.json: [{names}]",
        )
    ]
