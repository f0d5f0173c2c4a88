"""The real CamVid, if it is beside the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.tasks.data import load_data, open_source
from nas.tasks.data.doctor import examine, findings
from nas.tasks.data.readers import camvid
from nas.tasks.data.splits import arrange
from nas.training import class_pixels

ROOT = Path(__file__).resolve().parents[4] / "shared" / "data" / "camvid"
pytestmark = pytest.mark.skipif(not (ROOT / "splits").is_dir(), reason=f"CamVid is not at {ROOT}")


def test_declared_splits() -> None:
    data = load_data(f"camvid:{ROOT}", "1/8", size=(45, 60), progress=False)
    parts = (data.labelled, data.unlabelled, data.validation, data.test)
    assert [len(part) for part in parts] == [46, 192, 123, 233]
    everything = [name for part in parts for name in part.names]
    assert len(everything) == len(set(everything))
    assert data.unlabelled.masks is None
    assert data.labelled.masks is not None
    assert set(np.unique(data.labelled.masks)) == {*range(11), 255}
    assert data.labelled.names == tuple(sorted((ROOT / "splits" / "labelled_1_8.txt").read_text().split()))


def test_drawn_labels_show_every_class() -> None:
    data = load_data(f"camvid:{ROOT}", "12", size=(45, 60), progress=False)
    assert len(data.labelled) == 12
    assert min(class_pixels(data.labelled, len(data.classes))) > 0


def test_automatic_splits_equal_the_declared_ones() -> None:
    pool, ranking, test, spare = arrange(camvid._split(ROOT, "train"), test=camvid._split(ROOT, "test"))[:4]
    declared = open_source(f"camvid:{ROOT}")
    assert pool == declared.pool
    assert ranking == declared.validation
    assert test == declared.test
    assert spare == declared.spare


def test_without_holdout_the_whole_training_split_is_labelled() -> None:
    data = load_data(f"camvid:{ROOT}", "all", size=(45, 60), progress=False, holdout=False)
    assert (len(data.labelled), len(data.test)) == (367, 233)


def test_official_split_of_a_frame_is_that_of_the_tutorial() -> None:
    for split in ("train", "val", "test"):
        for path in (ROOT / split).iterdir():
            assert camvid._official_split(path.stem) == split


def test_doctor_finds_nothing_wrong() -> None:
    seen = examine(f"camvid:{ROOT}")
    assert findings(seen) == []
    assert len(seen.images) == 600 and {look.size for look in seen.images.values()} == {(360, 480)}
    assert {split: len(names) for split, names in seen.splits.items()} == {
        "labelled": 46,
        "unlabelled": 192,
        "validation": 123,
        "test": 233,
    }
    assert seen.suggested == (144, 192)
