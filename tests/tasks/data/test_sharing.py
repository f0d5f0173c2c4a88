"""Workers share one copy of the pixels, which is freed at the end, even if the owner is killed."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import FewLabelData, ImageSet, SharedData, sharing
from nas.tasks.data.scratch import scratch_array
from nas.tasks.data.sharing import shared

REPOSITORY = Path(__file__).resolve().parents[3]
PARTS = ("labelled", "unlabelled", "validation", "test")


def make_data(count: int = 5, folder: Path | None = None) -> FewLabelData:
    rng = np.random.default_rng(0)

    def array(shape: tuple[int, ...]) -> np.ndarray:
        values = rng.integers(0, 256, shape, np.uint8)
        if folder is None or not values.size:
            return values
        stored = scratch_array(folder, shape)
        stored[...] = values
        return stored

    def part(name: str, number: int, masks: bool) -> ImageSet:
        images, names = array((number, 6, 7, 3)), tuple(f"{name}{n}" for n in range(number))
        return ImageSet(images, array((number, 6, 7)) if masks else None, names)

    parts = {name: part(name, 0 if name == "unlabelled" else count, name != "unlabelled") for name in PARTS}
    return FewLabelData("made up", ("a", "b"), ((1, 2, 3), (4, 5, 6)), **parts)


def assert_same(one: FewLabelData, other: FewLabelData) -> None:
    assert (one.name, one.classes, one.palette) == (other.name, other.classes, other.palette)
    for part in PARTS:
        mine, theirs = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(mine.images, theirs.images)
        assert mine.names == theirs.names
        assert (mine.masks is None) == (theirs.masks is None)
        if mine.masks is not None:
            np.testing.assert_array_equal(mine.masks, theirs.masks)


def opened_in_a_spawned_process(handle: SharedData) -> FewLabelData:
    """Open the data in a worker process, which has ended when this returns."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seen = pool.apply(handle.open)
        pool.close()
        pool.join()
    return seen


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_round_trip_read_only(tmp_path: Path, cache_gb: float) -> None:
    data = make_data()
    with shared(data, cache_gb, tmp_path) as handle:
        assert len(list(tmp_path.iterdir())) == (0 if cache_gb else 1)
        opened = pickle.loads(pickle.dumps(handle)).open()
        assert_same(data, opened)
        with pytest.raises(ValueError, match="read-only"):
            opened.labelled.images[0] = 0
        assert opened.test.images.base is not None
    assert not list(tmp_path.iterdir())
    assert_same(data, opened)  # open arrays remain valid


def test_the_handle_is_small() -> None:
    with shared(make_data(400)) as handle:
        assert len(pickle.dumps(handle)) < 2000


def test_a_closed_handle_cannot_be_opened(tmp_path: Path) -> None:
    for cache_gb in (4.0, 0.0):
        with shared(make_data(), cache_gb, tmp_path) as handle:
            pass
        with pytest.raises(FileNotFoundError):
            handle.open()


def test_memory_is_freed_if_the_block_fails() -> None:
    with pytest.raises(RuntimeError), shared(make_data()) as handle:
        raise RuntimeError
    with pytest.raises(FileNotFoundError):
        SharedMemory(name=handle.text.where)


def test_pixels_in_files_are_not_copied(tmp_path: Path) -> None:
    data = make_data(folder=tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    with shared(data, 4.0, tmp_path) as handle:
        assert {path.name for path in tmp_path.iterdir()} == before
        assert handle.images[0].where == data.labelled.images.filename
        assert_same(data, handle.open())
        assert_same(data, opened_in_a_spawned_process(handle))


def test_a_slice_of_a_file_is_copied(tmp_path: Path) -> None:
    data = make_data(folder=tmp_path)
    tail = ImageSet(data.test.images[2:], data.test.masks[2:], data.test.names[2:])
    cut = FewLabelData(data.name, data.classes, data.palette, data.labelled, data.unlabelled, data.validation, tail)
    with shared(cut, 4.0, tmp_path) as handle:
        assert_same(cut, handle.open())


def test_files_are_used_without_shared_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sharing, "_free_shared_memory", lambda: 100.0)
    data = make_data()
    with shared(data, 4.0, tmp_path) as handle:
        assert not handle.text.in_memory
        assert_same(data, handle.open())


def test_spawned_processes_do_not_unlink_the_memory() -> None:
    data = make_data()
    with shared(data) as handle:
        assert_same(data, opened_in_a_spawned_process(handle))
        # The end of the first worker has not removed the memory.
        assert_same(data, opened_in_a_spawned_process(handle))
        assert_same(data, handle.open())


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


OPEN = """
    import pickle, sys
    handle = pickle.loads(bytes.fromhex(sys.argv[1]))
    data = handle.open()
    print(int(data.validation.images.astype('int64').sum()))
"""


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_process_with_its_own_tracker_does_not_unlink_the_memory(tmp_path: Path, cache_gb: float) -> None:
    data = make_data()
    with shared(data, cache_gb, tmp_path) as handle:
        child = run_python(OPEN, pickle.dumps(handle).hex())
        out, err = child.communicate(timeout=120)
        assert (child.returncode, err) == (0, "")
        assert int(out) == int(data.validation.images.astype(np.int64).sum())
        assert_same(data, handle.open())


OWNER = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from nas.tasks.data import FewLabelData, ImageSet, shared
    part = ImageSet(np.ones((4, 8, 8, 3), np.uint8), None, tuple("abcd"))
    data = FewLabelData("x", ("a", "b"), ((0, 0, 0), (1, 1, 1)), part, part, part, part)
    with shared(data, float(sys.argv[1]), Path(sys.argv[2])) as handle:
        print(handle.text.where, flush=True)
        time.sleep(600)
"""


def killed_owner(cache_gb: float, folder: Path) -> str:
    owner = run_python(OWNER, str(cache_gb), str(folder))
    assert owner.stdout is not None and owner.stderr is not None
    where = owner.stdout.readline().strip()
    assert where, owner.stderr.read()
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait(timeout=60)
    owner.stdout.close()
    owner.stderr.close()
    return where


@pytest.mark.skipif(sys.platform == "win32", reason="Windows frees a segment with its last handle by itself")
def test_memory_is_freed_when_the_owner_is_killed(tmp_path: Path) -> None:
    where = killed_owner(4.0, tmp_path)
    until = time.monotonic() + 60
    while time.monotonic() < until and (Path("/dev/shm") / where.lstrip("/")).exists():
        time.sleep(0.05)
    with pytest.raises(FileNotFoundError):
        sharing._attach(where)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_files_of_a_killed_owner_are_removed_by_the_next_one(tmp_path: Path) -> None:
    left = Path(killed_owner(0.0, tmp_path))
    assert left.is_file()
    with shared(make_data(), 0.0, tmp_path) as first:
        assert not left.exists()
        with shared(make_data(), 0.0, tmp_path):
            assert_same(make_data(), first.open())


def test_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, writing to the mapped file would kill the process with a bus error."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"no room for 0\.0 GB of pixels \(No space left on device\)"):
        scratch_array(tmp_path, (12, 16, 3))
    assert not list(tmp_path.iterdir())
