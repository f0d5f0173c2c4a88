"""Runs commands in a folder, with a small space and data set for searches that take seconds."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

SMALL = """
from nas import *

space = Recipe(
    encoder=Encoder(
        stages=Repeat(Stage(width=Choice(4, 6, 8), block=Choice(Plain(convs=1), Residual())), times=Int(1, 2))
    ),
    decoder=Choice(UNet(), LinkNet(), FPN(width=8)),
    norm=Choice("batch", "group"),
    loss=CrossEntropy(),
    pretext=Mix(Denoising(), Jigsaw(grid=2)),
    method=Choice(Supervised(), CutMix()),
    optimizer=Choice(Adam(lr=Float(1e-3, 1e-2, log=True)), SGD(lr=Float(1e-2, 1e-1, log=True))),
    schedule=Poly(),
    augment=Augment(scale=(0.8, 1.25)),
    labelled_batch=2,
    unlabelled_batch=2,
)
first = Recipe(
    encoder=Encoder(stages=(Stage(width=5, block=Plain(convs=1)),)),
    decoder=UNet(),
    loss=CrossEntropy(),
    method=Supervised(),
    optimizer=Adam(lr=5e-3),
    schedule=Poly(),
    augment=Augment(),
    labelled_batch=2,
    unlabelled_batch=2,
)
from dataclasses import replace
space = replace(space, baselines=(first,)).where(lambda c: cost(c, (16, 24)).params < 1_000_000)
"""

SHORT = ("--data", "scenes", "--size", "16x24", "--steps", "9", "--final-steps", "0", "--best", "2", "--repeats", "2")
ALONE = (*SHORT, "--workers", "1")
"""For speed, since each worker takes three seconds to start."""


# A process started in the background ignores SIGINT, and its children inherit that.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from nas.cli.{} import main
main()
"""

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Shell:
    """A folder in which commands run."""

    folder: Path
    space: Path

    def run(self, *args: str) -> Ended:
        """Run a command in this process, where its libraries are loaded already."""
        main = importlib.import_module(f"nas.cli.{args[0]}").main
        out, err = io.StringIO(), io.StringIO()
        with (
            in_folder(self.folder),
            own_log(),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main(args[1:])
        return Ended(args, ended.value.code or 0, out.getvalue(), err.getvalue())

    def run_process(self, *args: str, timeout: float = 240) -> Ended:
        """Run a command in a new process, which takes seconds more than `run`."""
        process = self.start(*args)
        out, err = process.communicate(timeout=timeout)
        return Ended(args, process.returncode, out, err)

    def start(self, *args: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMAND.format(args[0]), *args[1:]]
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def own_log() -> Iterator[None]:
    """Give a command a log without handlers, as in a new process, and remove those that it adds."""
    log = logging.getLogger("nas")
    level, log.handlers, before = log.level, [], log.handlers
    try:
        yield
    finally:
        for handler in log.handlers:
            handler.close()
        log.handlers = before
        log.setLevel(level)


def draw_set(root: Path, names: str) -> None:
    """Write a `folder:` set of small images with masks of two classes."""
    for name in names:
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(ord(name))
        cv2.imwrite(str(root / "images" / f"{name}.png"), rng.integers(0, 255, (16, 24, 3), np.uint8))
        cv2.imwrite(str(root / "masks" / f"{name}.png"), rng.integers(0, 2, (16, 24), np.uint8))


def alive_in_session(session: int) -> Iterator[int]:
    """Processes of a session that are alive; zombies are left out."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                yield int(entry.name)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, and fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


def kill(pid: int, sign: int = signal.SIGKILL) -> None:
    os.kill(pid, sign)
