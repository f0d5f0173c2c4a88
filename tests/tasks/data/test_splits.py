"""Held-out images are never neighbours in time of training images, and no image is in two splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UserError
from nas.tasks.data.items import FileItem
from nas.tasks.data.sets import Source
from nas.tasks.data.splits import arrange, check_disjoint, hold_out, sequence_of


def items(names: list[str], film: bool = True) -> list[FileItem]:
    return [FileItem(name, Path(name), sequence=sequence_of(name) if film else None) for name in names]


def names(some: tuple) -> list[str]:
    return [item.name for item in some]


def test_film_is_the_name_before_the_frame_number() -> None:
    assert sequence_of("0016E5_07959") == "0016E5_"
    assert sequence_of("Seq05VD_f01740") == "Seq05VD_f"
    assert sequence_of("0042") == "frames"
    assert sequence_of("harbour") is None


def test_a_film_is_cut_in_time_with_a_gap() -> None:
    film = items([f"a_{frame}" for frame in range(30)])  # a_10 sorts before a_2 as text
    kept, held = hold_out(film)
    assert sorted(int(name[2:]) for name in names(kept)) == list(range(18))
    assert sorted(int(name[2:]) for name in names(held)) == list(range(20, 30))


@given(st.lists(st.integers(9, 60), min_size=1, max_size=4), st.sampled_from([0.1, 0.25, 1 / 3]))
def test_every_film_is_cut_with_a_gap(lengths: list[int], share: float) -> None:
    film = items([f"f{n}x_{frame:03d}" for n, length in enumerate(lengths) for frame in range(length)])
    kept, held = hold_out(film, share)
    for n, length in enumerate(lengths):
        learnt = [int(name.split("_")[1]) for name in names(kept) if name.startswith(f"f{n}x")]
        ranked = [int(name.split("_")[1]) for name in names(held) if name.startswith(f"f{n}x")]
        assert min(ranked) - max(learnt) == 3  # two frames lie between
        assert len(ranked) == max(1, round(length * share))


def test_photos_are_drawn_and_all_used() -> None:
    photos = items([f"p{n}" for n in range(60)], film=False)
    kept, held = hold_out(photos)
    assert len(held) == 20
    assert sorted(names(kept) + names(held)) == sorted(item.name for item in photos)
    assert names(held) != [item.name for item in photos[-20:]]
    assert hold_out(photos) == (kept, held)


def test_a_large_draw_is_capped() -> None:
    assert len(hold_out(items([f"p{n}" for n in range(3000)], film=False))[1]) == 500


def test_short_films_stay_whole() -> None:
    film = items([f"clip{n}_{frame}" for n in range(12) for frame in range(4)])
    kept, held = hold_out(film)
    assert not {item.sequence for item in kept} & {item.sequence for item in held}
    assert len(held) == 16


def test_missing_splits_are_cut_from_the_pool() -> None:
    film = items([f"a_{frame:03d}" for frame in range(100)])
    pool, ranking, test, spare, declared = arrange(film)[:5]
    assert not declared
    assert names(test) == [f"a_{frame:03d}" for frame in range(75, 100)]
    assert names(ranking) == [f"a_{frame:03d}" for frame in range(49, 73)]
    assert names(pool) == [f"a_{frame:03d}" for frame in range(47)]
    assert names(spare) == ["a_047", "a_048"]  # the gap before the test split is in no split


def test_declared_validation_split_is_used_for_testing() -> None:
    film, val = items([f"a_{frame:03d}" for frame in range(30)]), items(["b_0", "b_1"])
    assert names(arrange(film, val=val)[2]) == ["b_0", "b_1"]
    pool, ranking, test, spare, declared = arrange(film, val=val, test=items(["c_0"]))[:5]
    assert declared
    assert (len(pool), names(ranking), names(test), spare) == (30, ["b_0", "b_1"], ["c_0"], ())


def test_too_few_images() -> None:
    with pytest.raises(UserError, match="too few"):
        hold_out(items(["a_1"]))


def test_overlapping_splits_are_refused() -> None:
    one, two, three = (tuple(items([name])) for name in ("a", "b", "c"))
    check_disjoint(Source("s", ("x", "y"), ((0, 0, 0), (1, 1, 1)), one, two, three))
    with pytest.raises(UserError, match="a is in pool and test"):
        check_disjoint(Source("s", ("x", "y"), ((0, 0, 0), (1, 1, 1)), one, two, one))


def shown(presence: np.ndarray, photos: list[FileItem]):
    place = {item.name: n for n, item in enumerate(photos)}
    return lambda some: presence[[place[item.name] for item in some]].reshape(len(some), presence.shape[1])


@settings(deadline=None, max_examples=60)
@given(st.integers(12, 60), st.integers(1, 6), st.integers(0, 999))
def test_every_split_shows_every_class_of_enough_photos(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    presence = rng.random((count, classes)) < rng.uniform(0.1, 0.9, classes)
    photos = items([f"p{n}" for n in range(count)], film=False)
    pool, ranking, test, spare = arrange(photos, presence=shown(presence, photos))[:4]
    assert sorted(names((*pool, *ranking, *test))) == sorted(names(tuple(photos))) and not spare
    plain = arrange(photos)
    assert [len(part) for part in plain[:3]] == [len(pool), len(ranking), len(test)]
    parts = [shown(presence, photos)(part).any(0) for part in (pool, ranking, test)]
    enough = presence.sum(0) >= 3 * classes
    assert all(part[enough].all() for part in parts)
    # A class of a single photo is trained on.
    assert parts[0][presence.any(0)].all()


def test_photos_sorted_by_class_are_split_evenly() -> None:
    photos = items([f"IMG_{n}" for n in range(30)], film=False)
    presence = np.array([[True, n >= 27] for n in range(30)])
    pool, ranking, test = arrange(photos, presence=shown(presence, photos))[:3]
    for part in (pool, ranking, test):
        assert set(names(part)) & {"IMG_27", "IMG_28", "IMG_29"}


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=12))
def test_groups_are_held_out_whole(sizes: list[int]) -> None:
    photos = [
        FileItem(f"{group}-{n}", Path(), group=f"g{group}") for group, size in enumerate(sizes) for n in range(size)
    ]
    pool, ranking, test = arrange(photos)[:3]
    groups = [{item.group for item in part} for part in (pool, ranking, test)]
    assert all(groups) and sum(map(len, groups)) == len(sizes)
    assert len(pool) + len(ranking) + len(test) == len(photos)
