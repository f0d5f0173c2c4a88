"""The progress line of a search."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import re
import struct
import sys
import termios

import pytest

from nas.controller.progress import Progress, StepProgress
from tests.shell import SHORT, Shell


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("nas.controller.progress.time.monotonic", made)
    return made


def line_of(progress: Progress, caplog: pytest.LogCaptureFixture, done: int, underway: float = 0.0) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="nas"):
        progress.show(done, 2, underway=underway)
    (line,) = caplog.messages
    return line


def test_the_time_left_follows_the_ended_trials(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(10, "Searching")
    clock.now += 40
    assert line_of(progress, caplog, 0) == "Searching 0/10, 2 running, no score yet, ? left"
    progress.note("complete", 0.25)
    clock.now += 60
    assert line_of(progress, caplog, 1) == "Searching 1/10, 2 running, best 0.250, 15:00 left"


def test_trials_on_cached_features_are_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(10, "Searching")
    for cached in (True, False, True):
        progress.note("complete", 0.25, cached)
    progress.note("pruned", None, True)
    clock.now += 40
    assert line_of(progress, caplog, 4).endswith("best 0.250, ? left, 3 cached")
    assert progress.summary() == "3 complete, 1 pruned; 3 trained on cached features"
    progress.resumed(cached=True)
    assert progress.summary() == "3 complete; 2 trained on cached features"


def test_running_trials_count_by_their_share(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(2, "Searching")
    progress.show(0, 1)
    clock.now += 100
    assert line_of(progress, caplog, 0, underway=0.25).endswith("11:40 left")
    clock.now += 200
    assert line_of(progress, caplog, 0, underway=0.75).endswith("08:20 left")


def test_without_progress_the_time_left_falls_to_zero(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(3, "Searching")
    progress.show(0, 1)
    clock.now += 60
    assert line_of(progress, caplog, 1).endswith("02:00 left")
    clock.now += 45
    assert line_of(progress, caplog, 1).endswith("01:15 left")
    clock.now += 500
    assert line_of(progress, caplog, 1).endswith("00:00 left")


def test_a_resumed_run_takes_its_pace_from_this_session(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(20, "Searching")
    progress.show(10, 2)
    clock.now += 60
    assert line_of(progress, caplog, 12).endswith("04:00 left")


def test_the_bar_of_a_terminal_has_80_columns(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(0, "Ranking over seeds")
    progress.total = 4
    progress.show(0, 2)
    clock.now += 30
    progress.note("trained", 0.5)
    progress.show(1, 2, "tau .30 of 4")
    line = terminal.getvalue().split("\r")[-1]
    progress.close()
    assert "Ranking over seeds 1/4" in line and "01:30 left, best 0.500, tau .30 of 4" in line
    assert len(line) <= 80


def test_steps_of_a_training_have_the_pace_of_this_session(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress = StepProgress(100, 40, "Pretraining")
    with caplog.at_level(logging.INFO, logger="nas"):
        clock.now += 29
        progress.show(41)
        assert not caplog.messages  # a line every half minute
        clock.now += 31
        progress.show(60)
    assert caplog.messages == ["Pretraining 60/100, 02:00 left"]


@pytest.mark.slow
def test_one_long_training_shows_the_time_left(shell: Shell) -> None:
    """Read the live bar through a pseudo-terminal, since the log has only a line every 30 seconds."""
    code = "from nas.cli.search import main; main()"
    options = ["--space", "small.py", "--budget", "1", "--workers", "1", *SHORT, "--steps", "1500"]
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.chdir(shell.folder)
        os.execv(sys.executable, [sys.executable, "-c", code, *options])
    output = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the terminal closes with its last process
            break
        if not chunk:
            break
        output += chunk
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output.decode()
    searching = re.findall(r"Searching 0/1 [^\r]*?(\S+) left", output.decode())
    assert "?" not in searching  # the pace was measured before the first step
    assert any(re.fullmatch(r"\d\d:\d\d", left) for left in searching), searching
