"""The cache of features: computed once, shared by processes, bounded, and whole whatever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nas.training.feature_cache import FeatureCache
from tests.shell import wait_until

USER = """
import sys, time
from pathlib import Path
import numpy as np
from nas.training.feature_cache import FeatureCache

folder, log, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def blocks():
    for i in range(4):
        with log.open("a") as file:
            file.write("block\\n")
        yield np.full((2, 3), i, np.float16)
        time.sleep(pause)

print(FeatureCache(folder).get("key", (8, 3), blocks).array[:, 0].tolist())
"""

EXPECTED = [0, 0, 1, 1, 2, 2, 3, 3]


def use(folder: Path, log: Path, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(folder), str(log), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def blocks(value: float = 1.0) -> Iterator[np.ndarray]:
    for _ in range(4):
        yield np.full((2, 3), value, np.float16)


def test_two_processes_compute_an_array_once(tmp_path: Path) -> None:
    users = [use(tmp_path / "cache", tmp_path / "log", 0.3) for _ in range(2)]
    for user in users:
        assert user.communicate(timeout=120)[0].strip() == str([float(i) for i in EXPECTED])
    assert (tmp_path / "log").read_text().count("block") == 4


def test_a_killed_writer_leaves_nothing_broken(tmp_path: Path) -> None:
    folder, log = tmp_path / "cache", tmp_path / "log"
    writer = use(folder, log, 60.0)
    wait_until(log.exists)
    assert [path.suffix for path in folder.iterdir() if path.name.startswith(".")] == [".tmp"]
    beats: list[int] = []

    def heartbeat() -> None:
        beats.append(1)
        if len(beats) == 3:  # until then the lock was respected
            writer.kill()

    stored = FeatureCache(folder, heartbeat).get("key", (8, 3), blocks)
    writer.wait()
    assert len(beats) >= 3 + 4
    np.testing.assert_array_equal(stored.array, np.ones((8, 3)))
    assert sorted(path.name for path in folder.iterdir()) == ["key.lock", "key.npy"]


def test_an_error_while_computing_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield np.zeros((2, 3), np.float16)
        raise RuntimeError("out of memory")

    cache = FeatureCache(tmp_path)
    with pytest.raises(RuntimeError, match="out of memory"):
        cache.get("key", (8, 3), broken)
    assert cache.used == 0
    assert cache.get("key", (8, 3), blocks).array.sum() == 24


def test_room_is_made_by_removing_the_longest_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path)
    held = cache.get("held", (8, 3), blocks)
    size = cache.used  # of each array; there is room for three
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        "nas.training.feature_cache.shutil.disk_usage", lambda path: usage(0, 0, 2 * 3.1 * size - cache.used)
    )
    for key in ("a", "b"):
        cache.get(key, (8, 3), blocks)
    os.utime(tmp_path / "held.npy", (1, 1))
    os.utime(tmp_path / "b.npy", (2, 2))
    cache.get("c", (8, 3), blocks)
    assert stored(tmp_path) == ["a", "c", "held"]
    cache.get("d", (8, 3), blocks)
    cache.get("e", (8, 3), blocks)
    assert stored(tmp_path) == ["d", "e", "held"] and cache.used <= cache.limit
    np.testing.assert_array_equal(held.array, np.ones((8, 3)))
    del held
    for key in ("f", "g", "h"):
        cache.get(key, (8, 3), blocks)
    assert stored(tmp_path) == ["f", "g", "h"]


def stored(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.npy"))


def test_without_a_folder_arrays_are_in_memory() -> None:
    cache = FeatureCache()
    assert cache.get("key", (8, 3), blocks).array.sum() == 24
    assert cache.used == 0 and cache.seconds > 0
