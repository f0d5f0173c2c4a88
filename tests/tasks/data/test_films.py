"""Frames of films are told from numbered photos by their content."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.tasks.data import load_data
from nas.tasks.data.films import find_films
from nas.tasks.data.items import FileItem
from nas.tasks.data.splits import sequence_of


def smooth(rng: np.random.Generator, height: int, width: int, grain: float) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), grain)
    return noise / noise.std()


def photos(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([np.clip(smooth(rng, 32, 32, 3) * 40 + rng.uniform(80, 170), 0, 255) for _ in range(count)])


def sites(count: int, each: int, seed: int) -> np.ndarray:
    """Separate photos sorted by site, each site with its own background and light."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        place = smooth(rng, 32, 32, 5) * 30 + rng.uniform(60, 190)
        found += [np.clip(place + smooth(rng, 32, 32, 1.5) * 15, 0, 255) for _ in range(each)]
    return np.stack(found)


def film(count: int, step: int, seed: int) -> np.ndarray:
    """A camera that moves over a wide picture by `step` pixels per frame."""
    rng = np.random.default_rng(seed)
    wide = np.clip(smooth(rng, 32, 32 + step * count, 4) * 50 + 120, 0, 255)
    return np.stack(
        [np.clip(wide[:, step * n : step * n + 32] + rng.normal(0, 2, (32, 32)), 0, 255) for n in range(count)]
    )


def seen(pictures: np.ndarray) -> list[tuple[str | None, str | None]]:
    items = [FileItem(f"img_{n}", Path(f"img_{n}"), sequence=sequence_of(f"img_{n}")) for n in range(len(pictures))]
    return [(item.sequence, item.group) for item in find_films(items, pictures.astype(np.uint8))]


@pytest.mark.parametrize("seed", range(5))
def test_photos_are_no_film_even_if_sorted_by_site(seed: int) -> None:
    alone = [(None, None)]
    assert seen(photos(40, seed)) == alone * 40
    assert seen(photos(12, seed)) == alone * 12
    assert seen(sites(2, 15, seed)) == alone * 30
    assert seen(sites(5, 8, seed)) == alone * 40


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [1, 2, 4])
def test_moving_camera_is_a_film(step: int, seed: int) -> None:
    assert seen(film(40, step, seed)) == [("img_", None)] * 40


def test_static_camera_is_a_film() -> None:
    rng = np.random.default_rng(0)
    still = np.clip(photos(1, 3) + rng.normal(0, 2, (20, 32, 32)), 0, 255)
    assert seen(still) == [("img_", None)] * 20


def test_bursts_become_groups_and_a_film_among_photos_is_found() -> None:
    rng = np.random.default_rng(0)
    bursts = np.clip(np.repeat(photos(6, 1), 3, axis=0) + rng.normal(0, 2, (18, 32, 32)), 0, 255)
    found = seen(bursts)
    assert all(sequence is None for sequence, _ in found)
    assert [group for _, group in found] == [f"img_{3 * (n // 3)}" for n in range(18)]
    mixed = seen(np.concatenate([photos(15, 2), film(20, 1, 3)]))
    assert mixed[:15] == [(None, None)] * 15
    assert len({sequence for sequence, _ in mixed[15:]}) == 1 and mixed[-1][0] is not None


def write_folder(root: Path, pictures: np.ndarray) -> Path:
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for n, picture in enumerate(pictures.astype(np.uint8)):
        cv2.imwrite(str(root / "images" / f"{7 * n + 3:04d}.png"), picture)
        cv2.imwrite(str(root / "masks" / f"{7 * n + 3:04d}.png"), (picture > 128).astype(np.uint8))
    return root


@pytest.mark.parametrize("count", [3, 5, 12, 40])
def test_every_labelled_photo_is_in_a_split(tmp_path: Path, count: int) -> None:
    data = load_data(f"folder:{write_folder(tmp_path / 'set', photos(count, 0))}", progress=False)
    assert len(data.labelled) + len(data.test) == count and len(data.test) >= 1
    assert data.folds == min(3, len(data.labelled)) and data.folds >= 2
    assert data.summary is not None and not data.summary.left_out


def test_frames_in_the_gaps_are_counted(tmp_path: Path) -> None:
    data = load_data(f"folder:{write_folder(tmp_path / 'set', film(40, 2, 0))}", progress=False)
    assert data.summary is not None and data.summary.films == ("frames",)
    used = len(data.labelled) + len(data.validation) + len(data.test)
    assert sum(out.count for out in data.summary.left_out) == 40 - used == 4
    # A single film cannot be divided into folds, so it is cut in time.
    assert data.folds == 0
