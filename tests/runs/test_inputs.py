"""A run is resumed only with the space and the images that it began with, which may have moved."""

from __future__ import annotations

import shutil

import pytest

from nas.runs.run import Run
from tests.shell import Shell, draw_set

TINY = ("--budget", "1", "--size", "16x24", "--steps", "3", "--best", "1", "--repeats", "1", "--workers", "1")


@pytest.fixture
def begun(shell: Shell) -> Shell:
    """A finished run on a set beside it."""
    draw_set(shell.folder / "set", "abcdefghi")
    ended = shell.run("search", "--space", "small.py", "--data", "folder:set", "--name", "one", *TINY)
    assert ended.returncode == 0, ended.stderr
    return shell


def resumed(shell: Shell, *more: str) -> tuple[int, str]:
    ended = shell.run("search", "--resume", "runs/one", *more)
    return ended.returncode, ended.stderr.strip()


def test_changed_images_or_spaces_are_refused_and_moved_ones_are_accepted(begun: Shell) -> None:
    folder, run = begun.folder, begun.folder / "runs" / "one"
    assert Run(run).settings.data == f"folder:{folder / 'set'}"

    draw_set(folder / "set", "x")
    code, error = resumed(begun, "--repeats", "2")
    assert code == 2 and len(error.splitlines()) == 1
    assert "folder:set does not hold the images this run began with (7 labelled, 0 unlabelled, 7 validation, " in error
    assert "; now 8 labelled, 0 unlabelled, 8 validation, " in error

    for kind in ("images", "masks"):
        (folder / "set" / kind / "x.png").unlink()
    shutil.move(folder / "set", folder / "moved")
    code, error = resumed(begun, "--repeats", "2")
    assert code == 2 and "there is no" in error
    code, error = resumed(begun, "--repeats", "2", "--data", "folder:moved")
    assert code == 0, error
    assert Run(run).ranking.query("winner")["seeds"].tolist() == [2]
    assert Run(run).settings.data == f"folder:{folder / 'moved'}"

    (run / "space.py").write_text((run / "space.py").read_text().replace('Choice("batch", "group")', '"batch"'))
    code, error = resumed(begun)
    assert code == 2 and len(error.splitlines()) == 1
    assert "space.py is not the space this run began with" in error
