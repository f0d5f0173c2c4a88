"""Folds keep groups together, have equal sizes, train on every class if possible, and are reproducible."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import UserError
from nas.search_spaces.multitask import fast
from nas.tasks import Denoising, MeanTeacher
from nas.tasks.data import FewLabelData, ImageSet, SharedData, fold, load_data, shared
from nas.tasks.data.folds import assign_folds
from nas.training import Plan, train_folds


def make_data(presence: np.ndarray, groups: list[str] | None = None) -> FewLabelData:
    """Make images whose masks show the classes of `presence` (images x classes)."""
    count, classes = presence.shape
    masks = np.full((count, 8, 8), 255, np.uint8)
    for image, index in zip(*np.nonzero(presence), strict=True):
        masks[image].flat[index] = index
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    labelled = ImageSet(images, masks, tuple(f"i{n}" for n in range(count)))
    none = ImageSet(np.zeros((0, 8, 8, 3), np.uint8), None, ())
    names, palette = tuple(f"c{n}" for n in range(classes)), tuple((n, n, n) for n in range(classes))
    return FewLabelData("d", names, palette, labelled, none, labelled, labelled, groups=tuple(groups or ()), folds=3)


def untrained(presence: np.ndarray, folds: tuple[int, ...] | np.ndarray) -> int:
    """Count the pairs of a fold and a class that only images of this fold show."""
    of = np.asarray(folds)
    return sum(int((presence.any(0) & ~presence[of != index].any(0)).sum()) for index in np.unique(of))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.integers(0, 999), st.data())
def test_folds_partition_the_images_by_groups(folds: int, seed: int, draw: st.DataObject) -> None:
    groups = draw.draw(st.lists(st.integers(0, 9), min_size=folds, max_size=40))
    groups = [f"g{n}" for n in range(folds)] + [f"g{n}" for n in groups]
    presence = np.random.default_rng(seed).random((len(groups), 5)) < 0.3
    data = make_data(presence, groups)
    held: list[str] = []
    for index in range(folds):
        view = fold(data, index, folds, seed)
        assert set(view.labelled.names) | set(view.validation.names) == set(data.labelled.names)
        of = dict(zip(data.labelled.names, groups, strict=True))
        assert view.groups == tuple(of[name] for name in view.labelled.names)
        assert not set(view.groups) & {of[name] for name in view.validation.names}
        assert len(view.labelled) and len(view.validation) and view.folds == 0
        places = [data.labelled.names.index(name) for name in view.validation.names]
        np.testing.assert_array_equal(view.validation.masks, data.labelled.masks[places])
        np.testing.assert_array_equal(view.validation.images, data.labelled.images[places])
        assert view.unlabelled is data.unlabelled and view.test is data.test
        held += view.validation.names
    assert sorted(held) == sorted(data.labelled.names)


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 4), st.integers(12, 40), st.integers(0, 999))
def test_images_without_groups_are_spread_evenly(folds: int, count: int, seed: int) -> None:
    presence = np.random.default_rng(seed).random((count, 6)) < 0.2
    of = assign_folds(make_data(presence), folds, seed)
    sizes = np.bincount(of, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    # With this many images, a fold lacks only classes that a single image shows. With two folds, this would not hold:
    # of three classes shown by two of three images each, one is always in a single fold.
    assert untrained(presence, of) == int((presence.sum(0) == 1).sum())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 9999))
def test_no_other_division_trains_on_more_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"g{n}" for n in rng.integers(0, 6, 14)]
    names = sorted(set(groups))
    presence = rng.random((len(groups), 4)) < 0.2
    of_group = np.array([presence[[group == name for group in groups]].any(0) for name in names])
    if len(names) < 3:
        return
    ways = [way for way in product(range(3), repeat=len(names)) if len(set(way)) == 3]
    best = min(untrained(of_group, way) for way in ways)
    assert untrained(presence, assign_folds(make_data(presence, groups), 3, seed)) == best


def test_seed_decides_the_folds() -> None:
    data = make_data(np.ones((30, 2), bool))
    one, again, other = (assign_folds(data, 3, seed) for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_invalid_folds_are_refused() -> None:
    data = make_data(np.ones((6, 2), bool), ["a", "a", "a", "b", "b", "b"])
    with pytest.raises(ValueError, match="2 groups of labelled images cannot make 3 folds"):
        fold(data, 0, 3, 0)
    with pytest.raises(ValueError, match="no fold 2 of 2"):
        fold(data, 2, 2, 0)


def fold_elsewhere(handle: SharedData) -> FewLabelData:
    data = handle.open()
    assert data.validation is data.labelled
    return fold(data, 1, data.folds, 5)


def test_worker_process_makes_the_same_folds() -> None:
    presence = np.random.default_rng(0).random((20, 4)) < 0.4
    data = make_data(presence, [f"g{n % 7}" for n in range(20)])
    with shared(data) as handle, multiprocessing.get_context("spawn").Pool(1) as pool:
        seen = pool.apply(fold_elsewhere, (handle,))
        pool.close()
        pool.join()
    here = fold(data, 1, 3, 5)
    assert (seen.labelled.names, seen.validation.names, seen.groups) == (
        here.labelled.names,
        here.validation.names,
        here.groups,
    )
    np.testing.assert_array_equal(seen.labelled.masks, here.labelled.masks)


def test_few_images_are_ranked_on_folds_and_many_are_not(make_folder) -> None:
    few = load_data(f"folder:{make_folder(24)}", progress=False)
    assert (few.folds, len(few.labelled), len(few.test)) == (3, 18, 6)
    assert few.validation is few.labelled and few.groups == few.labelled.names
    never = load_data(f"folder:{make_folder(24)}", folds=0, progress=False)
    assert (never.folds, len(never.labelled), len(never.validation)) == (0, 12, 6)
    assert not set(never.labelled.names) & set(never.validation.names)
    assert load_data(f"folder:{make_folder(81, 'many')}", progress=False).folds == 0
    assert load_data(f"folder:{make_folder(24)}", folds=5, progress=False).folds == 5


def test_a_declared_ranking_split_is_kept_unless_folds_are_asked_for(make_folder, caplog) -> None:
    root = make_folder(20)
    names = sorted(path.stem for path in (root / "images").iterdir())
    (root / "splits").mkdir()
    for split, some in {"train": names[:10], "val": names[10:15], "test": names[15:]}.items():
        (root / "splits" / f"{split}.txt").write_text("\n".join(some))
    kept = load_data(f"folder:{root}", progress=False)
    assert (kept.folds, kept.validation.names) == (0, tuple(names[10:15]))
    folded = load_data(f"folder:{root}", folds=2, progress=False)
    assert (folded.folds, folded.labelled.names) == (2, tuple(names[:10]))
    assert folded.unlabelled.names == tuple(names[10:15])
    assert "the 5 images of the declared ranking split are used without their labels" in caplog.text


def test_contradictory_arguments_are_refused(make_folder) -> None:
    spec = f"folder:{make_folder()}"
    for asked, why in {
        1: "--folds 1: give 2 or more",
        -2: "--folds -2: give 2 or more",
        50: "--folds 50: the 9 labelled images of folder:mine form 9 groups: give 9 or fewer",
    }.items():
        with pytest.raises(UserError, match=why):
            load_data(spec, folds=asked, progress=False)
    with pytest.raises(UserError, match="--no-holdout exclude each other"):
        load_data(spec, folds=2, holdout=False, progress=False)
    with pytest.raises(UserError, match="--unlabelled exclude each other"):
        load_data(spec, folds=2, unlabelled=f"folder:{make_folder(12, 'other')}", progress=False)


def test_loaded_images_keep_their_groups(make_folder) -> None:
    root = make_folder(24)
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name}.png,{'north' if place % 2 else 'south'} {place // 8}" for place, name in enumerate(names)]
    (root / "groups.csv").write_text("image,site\n" + "\n".join(rows))
    data = load_data(f"folder:{root}", progress=False)
    of = {row.split(".")[0]: row.split(",")[1] for row in rows}
    assert data.groups == tuple(f"group {of[name]}" for name in data.labelled.names)
    assert not {of[name] for name in data.labelled.names} & {of[name] for name in data.test.names}
    assert data.folds == 3
    # Merging classes keeps the groups.
    merged = load_data(f"folder:{root}", progress=False, group_classes={"a": ["0"], "b": ["1", "2"]})
    assert replace(merged).groups == data.groups


def test_unlabelled_images_of_held_out_groups_are_left_out(make_folder, write_image) -> None:
    root = make_folder(12)
    for n in range(6):
        write_image(root / "unlabelled" / f"u{n}.png", seed=100 + n)
    names = sorted(path.stem for path in (root / "images").iterdir())
    of = {name: f"site {place % 6}" for place, name in enumerate(names)}
    of |= {f"unlabelled/u{n}": f"site {n}" for n in range(5)}
    (root / "groups.csv").write_text("\n".join(["image,site", *(",".join(row) for row in of.items())]))
    with shared(load_data(f"folder:{root}", folds=3, progress=False)) as handle:
        data = handle.open()
        everyone = dict(zip(data.unlabelled.names, data.unlabelled.images, strict=True))
        for index in range(3):
            view = fold(data, index, 3, 0)
            held = {of[name] for name in view.validation.names}
            beside = [name for name in everyone if of.get(name) not in held]
            assert held and list(view.unlabelled.names) == beside and "unlabelled/u5" in beside
            assert [group.removeprefix("group ") for group in view.unlabelled_groups] == [of.get(n, n) for n in beside]
            np.testing.assert_array_equal(view.unlabelled.images, [everyone[name] for name in beside])
            order = np.arange(len(beside))[::-1]
            np.testing.assert_array_equal(view.unlabelled.images[order], [everyone[name] for name in beside[::-1]])
        assert sum(len(fold(data, index, 3, 0).unlabelled) for index in range(3)) < 3 * len(everyone)


def test_unlabelled_copies_of_held_out_images_are_left_out(make_folder) -> None:
    root = make_folder(12, size=(48, 64))
    (root / "unlabelled").mkdir()
    for path in (root / "images").iterdir():
        cv2.imwrite(str(root / "unlabelled" / path.name), cv2.convertScaleAbs(cv2.imread(str(path)), alpha=0.8))
    data = load_data(f"folder:{root}", folds=3, progress=False)
    assert {f"unlabelled/{name}" for name in data.labelled.names} == set(data.unlabelled.names)
    for index in range(3):
        view = fold(data, index, 3, 0)
        assert set(view.unlabelled.names) == {f"unlabelled/{name}" for name in view.labelled.names}


def test_training_with_left_out_unlabelled_images(make_folder, write_image) -> None:
    root = make_folder(9)
    for n in range(4):
        write_image(root / "unlabelled" / f"u{n}.png", seed=100 + n)
    names = sorted(path.stem for path in (root / "images").iterdir())
    rows = [f"{name},site {place % 3}" for place, name in enumerate(names)]
    (root / "groups.csv").write_text("\n".join([*rows, *(f"u{n},site {n % 2}" for n in range(4))]))
    data = load_data(f"folder:{root}", folds=2, size=(16, 16), progress=False)
    views = [fold(data, index, 2, 0) for index in range(2)]
    assert {len(view.unlabelled) for view in views} & {0, 2}
    recipe = replace(fast, method=MeanTeacher(), pretext=(Denoising(),), labelled_batch=2, unlabelled_batch=2)
    assert train_folds(recipe, views, Plan(2, (2,))).steps == 2
