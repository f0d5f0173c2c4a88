"""Values of --labels, and the stratified draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UserError
from nas.tasks.data.items import FileItem
from nas.tasks.data.labels import choose_labels, draw_stratified
from nas.tasks.data.sets import Source

POOL = tuple(FileItem(f"p{n:02d}", Path(f"p{n:02d}.png")) for n in range(40))
SOURCE = Source("s", ("a", "b"), ((0, 0, 0), (1, 1, 1)), POOL, (), (), label_files={"1_4": ("p03", "p01")})


def presence(items) -> np.ndarray:
    return np.array([[True, item.name == "p37"] for item in items])


def chosen(labels: str | None, seed: int = 0) -> list[str]:
    return [item.name for item in choose_labels(SOURCE, labels, seed, presence)]


@pytest.mark.parametrize(("labels", "count"), [("1/8", 5), (None, 5), ("7", 7), ("0.5", 20), ("all", 40)])
def test_counts(labels: str | None, count: int) -> None:
    assert len(set(chosen(labels))) == count
    assert "p37" in chosen(labels)


def test_seed_decides_the_draw() -> None:
    assert chosen("10") == chosen("10")
    assert chosen("10") != chosen("10", seed=1)


def test_declared_fraction_is_used() -> None:
    assert chosen("1/4") == ["p01", "p03"]


def test_list_of_stems(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("# few\np05.png\n\np00\n")
    assert chosen(str(file)) == ["p00", "p05"]
    file.write_text("p05\nq99\n")
    with pytest.raises(UserError, match=r"mine\.txt: q99 is not an image"):
        chosen(str(file))
    file.write_text("p05\np05\n")
    with pytest.raises(UserError, match="p05 twice"):
        chosen(str(file))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0", "at least 1"),
        ("1/1000", "at least 1"),
        ("-3", "at least 1"),
        ("41", "ask for fewer"),
        ("3/2", "ask for fewer"),
        ("few", "not understood"),
        ("1/0", "not understood"),
        ("gone.txt", "gone.txt"),
    ],
)
def test_errors(labels: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen(labels)


def test_classes_without_a_label_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    source = Source("s", ("a", "b"), ((0, 0, 0), (1, 1, 1)), POOL, (), ())
    choose_labels(source, "1", 0, lambda items: np.eye(2, dtype=bool)[[n % 2 for n in range(len(items))]])
    assert "too few labels (1) to show every class; missing: " in caplog.text


@settings(deadline=None)
@given(st.integers(5, 60), st.integers(1, 6), st.integers(0, 99), st.data())
def test_draw_shows_every_class_if_possible(count: int, classes: int, seed: int, data: st.DataObject) -> None:
    there = np.random.default_rng(seed).random((count, classes)) < 0.15
    wanted = data.draw(st.integers(1, count))
    drawn = draw_stratified(there, wanted, seed)
    assert len(drawn) == wanted
    if wanted >= classes:
        assert (there[sorted(drawn)].any(0) == there.any(0)).all()


def test_remaining_labels_are_spread_over_time() -> None:
    drawn = sorted(draw_stratified(np.ones((100, 1), bool), 11, seed=0))
    assert max(np.diff([0, *drawn, 100])) <= 20
