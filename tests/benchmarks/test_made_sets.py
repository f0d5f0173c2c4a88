"""benchmarks.made_sets: determinism, classes, difficulty, and the folders that the command writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.made_sets import MAKERS, make
from benchmarks.made_sets.__main__ import main
from nas.tasks.data import open_source
from nas.tasks.naive import LOCATION_MAP, OTSU, naive_scores

ROOT = Path(__file__).parents[2]


def command(*arguments: object) -> None:
    main(list(map(str, arguments)))


def read_png(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("name", MAKERS)
def test_an_image_depends_on_its_number_and_the_seed_only(name: str) -> None:
    size = (48, 40)
    all_three, last, other = (make(name, range(*ends), size, seed) for *ends, seed in ((0, 3, 5), (2, 3, 5), (2, 3, 6)))
    assert all_three.masks is not None and last.masks is not None
    assert all_three.images.shape == (3, *size, 3) and all_three.images.dtype == np.uint8
    assert all_three.masks.shape == (3, *size) and all_three.masks.dtype == np.uint8
    assert np.array_equal(all_three.images[2], last.images[0]) and np.array_equal(all_three.masks[2], last.masks[0])
    assert all_three.names[2] == last.names[0]
    assert not np.array_equal(last.images, other.images)
    assert not np.array_equal(all_three.images[0], all_three.images[1])


@pytest.mark.parametrize("name", MAKERS)
def test_masks_contain_all_classes(name: str) -> None:
    drawn = make(name, range(40), shown=(64, 64))
    assert drawn.masks is not None and drawn.images.shape == (40, 64, 64, 3)
    assert np.unique(drawn.masks).tolist() == list(range(len(MAKERS[name].classes)))


def test_scores_of_naive_baselines_are_in_the_intended_range() -> None:
    blobs = naive_scores(make("blobs", range(12), shown=(96, 120)), make("blobs", range(50, 74), shown=(96, 120)), 2)
    assert 0.55 < blobs[OTSU] < 0.75 and blobs[LOCATION_MAP] < 0.5
    few, others = (make("garments", range(*ends), shown=(96, 64)) for ends in ((0, 40), (50, 74)))
    assert 0.12 < naive_scores(few, others, 8)[LOCATION_MAP] < 0.28


def test_brightness_does_not_separate_textures() -> None:
    drawn = make("textures", range(30))
    assert drawn.masks is not None and np.ptp(drawn.images, axis=-1).max() == 0
    kinds = range(len(MAKERS["textures"].classes))
    means = [drawn.images[..., 0][drawn.masks == kind].mean() for kind in kinds]
    spread = drawn.images[..., 0].std()
    assert max(means) - min(means) < spread


def test_command_writes_folders_that_load(tmp_path: Path) -> None:
    options = ["--images", "9", "--masks", "6", "--size", "60x40", "--holdout", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.made_sets", "garments", str(tmp_path / "g"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    source = open_source(f"folder:{tmp_path / 'g'}")
    assert source.classes == MAKERS["garments"].classes == tuple(json.loads((tmp_path / "g/classes.json").read_text()))
    assert len(source.pool) + len(source.validation) + len(source.test) == 6 and len(source.extra) == 3
    drawn = make("garments", range(9), (60, 40))
    assert drawn.masks is not None
    for item in (*source.pool, *source.validation, *source.test):
        place = drawn.names.index(item.name)
        assert np.array_equal(item.image(), drawn.images[place]) and np.array_equal(item.mask(), drawn.masks[place])
    apart = tmp_path / "g-holdout"
    assert len(list(apart.glob("images/*.png"))) == len(list(apart.glob("masks/*.png"))) == 4
    assert not (apart / "unlabelled").exists()


def test_masks_of_two_classes_are_black_and_white(tmp_path: Path) -> None:
    command("blobs", tmp_path / "b", "--images", 2, "--masks", 1, "--size", "64x80")
    (mask,) = (tmp_path / "b/masks").iterdir()
    assert np.unique(read_png(mask)).tolist() == [0, 255] and read_png(mask).shape == (64, 80)
    assert {part.name for part in (tmp_path / "b").iterdir()} == {"images", "masks", "unlabelled"}


def test_bad_input_is_an_error_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").write_text("")
    for arguments, said in (([tmp_path], "not empty"), ([tmp_path / "new", "--images", 2, "--masks", 3], "2 images")):
        with pytest.raises(SystemExit) as refused:
            command("blobs", *arguments)
        assert refused.value.code == 2 and said in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]
