"""Where a space with frozen="cached" caches features, as `--describe` and the log say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nas.models import FPN, Encoder, Pretrained
from nas.space import Choice, Mix, Recipe, describe
from nas.space.cached import cached_notes
from nas.tasks import ClassMix, CutMix, Jigsaw, Supervised

OPEN = Choice("all", "cached")


def space(frozen: Any = OPEN, **fields: Any) -> Recipe:
    return Recipe(encoder=Pretrained(Encoder(), frozen=frozen), decoder=FPN(), **{"method": Supervised(), **fields})


EVERYWHERE: list[str] = []


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ({}, EVERYWHERE),
        ({"frozen": Choice(0, "all"), "method": ClassMix()}, EVERYWHERE),
        (
            {"method": Choice(Supervised(), ClassMix())},
            ['used by candidates with Supervised; for the others frozen="cached" is the same as "all"'],
        ),
        (
            {"pretext": Mix(Jigsaw())},
            [
                "used by candidates with Supervised and no pretext task; "
                'for the others frozen="cached" is the same as "all"'
            ],
        ),
        (
            {"method": Choice(CutMix(), ClassMix())},
            ['frozen="cached" is the same as "all", since every method or a pretext task reads images'],
        ),
        (
            {"pretext": (Jigsaw(),)},
            ['frozen="cached" is the same as "all", since every method or a pretext task reads images'],
        ),
    ],
)
def test_notes(fields: dict[str, Any], notes: list[str]) -> None:
    assert cached_notes(space(**fields)) == notes
    text = " ".join(describe(space(**fields)).split())
    assert all(f"Cached features: {note}" in text for note in notes)
    assert text.count("Cached features:") == len(notes)


def test_baselines_are_named() -> None:
    fixed = space("cached")
    mixed = replace(fixed, method=ClassMix())
    both = replace(fixed, baselines=(fixed, mixed), baseline_names=("fixed", "mixed"))
    assert cached_notes(both) == ['mixed is trained as with frozen="all", since ClassMix reads images']
