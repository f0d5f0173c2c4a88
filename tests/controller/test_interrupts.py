"""Interrupts of a whole search: at any moment, and in callbacks, it ends at once and can be resumed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shell import SHORT, Shell, alive_in_session, kill, wait_until

LINE = "nas-search: interrupted\n"

PROMPT = 3.0
"""Seconds from the signal to the end of the process: half a second, and more on a busy machine."""

SPAN = 6.0
"""Seconds that cover imports, images and study, or workers and candidates."""


def assert_ends(shell: Shell, moment: float, signs: list[int], searching: bool = False) -> None:
    """Start a search, wait for `moment` seconds (after its log begins, if `searching`), and send signals."""
    process = shell.start("search", "--space", "small.py", "--budget", "400", "--workers", "2", "--name", "one", *SHORT)
    if searching:
        wait_until(lambda: (log := shell.folder / "runs" / "one" / "search.log").exists() and log.stat().st_size > 0)
    time.sleep(moment)
    sent = time.monotonic()
    for sign in signs:
        if process.poll() is None:
            kill(process.pid, sign)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, LINE), moment
    assert time.monotonic() - sent < PROMPT, moment
    wait_until(lambda: not list(alive_in_session(process.pid)), seconds=20)
    # Files that a worker was writing are removed when the run is resumed.
    assert not [path for path in shell.folder.rglob("*.tmp") if path.parent.name != "checkpoints"]


def assert_resumes(shell: Shell) -> None:
    if (shell.folder / "runs" / "one").exists():
        ended = shell.run("search", "--resume", "runs/one", "--budget", "1")
        assert ended.returncode == 0, ended.stderr
        assert not list(shell.folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("moment", "signs"),
    [(0.4, [signal.SIGINT]), (1.5, [signal.SIGINT] * 20), (5.0, [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])],
)
def test_an_interrupted_search_ends_with_one_line(shell: Shell, moment: float, signs: list[int]) -> None:
    assert_ends(shell, moment, signs)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_an_interrupted_search_ends_with_one_line_at_any_moment_and_resumes(shell: Shell, seed: int) -> None:
    rng = random.Random(seed)
    sign = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    # One moment in each sixth of the span.
    moment = SPAN * (seed % 6 + rng.random()) / 6 + 0.2
    assert_ends(shell, moment, [sign] * rng.choice([1, 10]), searching=seed >= 6)
    assert_resumes(shell)


def test_before_the_first_candidate_the_command_to_resume_is_printed(shell: Shell) -> None:
    process = shell.start("search", "--space", "small.py", "--budget", "400", "--workers", "1", "--name", "one", *SHORT)
    wait_until(lambda: (shell.folder / "runs" / "one" / "space.py").exists())
    kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, LINE)
    assert "Searching" not in out  # printed after the workers have started
    assert out.endswith("Resume with: nas-search --resume runs/one\n")
    assert_resumes(shell)


PLANTED = """
import os, signal, weakref
from pathlib import Path

class Thing: ...

asked = []

def interrupted_in_a_callback(candidate):
    if not asked and list(Path().glob("runs/*/study.db")):
        asked.append(candidate)
        thing = Thing()
        kept = weakref.ref(thing, lambda _: (os.kill(os.getpid(), signal.SIGINT), [None for _ in range(10)]))
        del thing
    return True

space = replace(space, baselines=(), constraints=(interrupted_in_a_callback,))
"""


def test_a_callback_does_not_swallow_an_interrupt(shell: Shell) -> None:
    shell.space.write_text(shell.space.read_text() + PLANTED)
    options = ("--space", "small.py", "--budget", "400", "--workers", "1", "--name", "one")
    ended = shell.run_process("search", *options, *SHORT)
    assert (ended.returncode, ended.stderr) == (130, LINE)
    assert "Resume with: nas-search --resume runs/one" in ended.stdout


SCRIPT = """
import signal
import nas

if __name__ == "__main__":
    try:
        nas.search("small.py", budget=400, workers=1, data="scenes", size=(16, 24), steps=9)
    except KeyboardInterrupt:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        print("caught")
"""


def test_in_a_script_an_interrupt_reaches_the_caller(shell: Shell) -> None:
    shell.space.write_text(shell.space.read_text() + PLANTED)
    (shell.folder / "script.py").write_text(SCRIPT)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=shell.folder, capture_output=True, text=True, env=environment
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "caught\n", "")
