"""PoolContract: tests that every `nas.pool.Pool` must pass. Subclass it and set `pool`.

Workers import this module for the `Work` classes, so it must be quick to import.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nas.pool import (
    Done,
    Ended,
    Failed,
    Infeasible,
    InfeasibleError,
    Job,
    Lost,
    Message,
    Pool,
    PoolError,
    Report,
    Requeued,
    Rung,
    Started,
)

__all__ = ["Behaviours", "BrokenSetup", "PoolContract", "alive", "drain", "eventually"]

# Seconds after which a wait counts as failed.
TIMEOUT = 60.0


# --- Work classes ---------------------------------------------------------------------------------


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's class, by which it is recognized."""


class Unreadable:
    """An object that can be pickled but not unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return int, ("not a number",)


@dataclass(frozen=True)
class Behaviours:
    """Runs payloads (method name, argument). `folder` has a file for every worker process."""

    folder: Path

    def setup(self, device: str) -> None:
        (self.folder / f"worker.{os.getpid()}").touch()

    def run(self, payload: tuple[str, Any], report: Report) -> Any:
        behaviour, argument = payload
        return getattr(self, behaviour)(argument, report)

    def square(self, x: int, report: Report) -> int:
        return x * x

    def pid(self, _: Any, report: Report) -> int:
        return os.getpid()

    def environment(self, names: list[str], report: Report) -> list[str | None]:
        return [os.environ.get(name) for name in names]

    def meet(self, me_and_count: tuple[str, int], report: Report) -> int:
        """Return once `count` of these jobs run at the same time."""
        me, count = me_and_count
        (self.folder / f"met.{me}").touch()
        eventually(lambda: len(list(self.folder.glob("met.*"))) == count)
        return os.getpid()

    def climb(self, rungs: int, report: Report) -> int:
        """Report rungs until told to stop, then once more; return the number of rungs passed."""
        for step in range(rungs):
            if not report(step, step / 10):
                assert not report(step + 1, 0.0)
                return step
        return rungs

    def rung_of_pid(self, _: Any, report: Report) -> str:
        return "went on" if report(1, os.getpid()) else "stopped"

    def fail(self, error: BaseException, report: Report) -> None:
        raise error

    def unpicklable(self, _: Any, report: Report) -> Any:
        return lambda: None

    def unreadable(self, _: Any, report: Report) -> Any:
        return Unreadable()

    def leave(self, code: int, report: Report) -> None:
        sys.exit(code)

    def die(self, _: Any, report: Report) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def die_once(self, name: str, report: Report) -> str:
        if self._first_time(name):
            os.kill(os.getpid(), signal.SIGKILL)
        return f"{name} lived"

    def hang_once(self, name: str, report: Report) -> str:
        if self._first_time(name):
            time.sleep(3600)
        return f"{name} woke"

    def send_heartbeats(self, seconds: float, report: Report) -> str:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            report.heartbeat()
            time.sleep(0.05)
        return "done at last"

    def train_for_ever(self, name: str, report: Report) -> None:
        (self.folder / f"training.{name}").touch()
        while True:
            time.sleep(0.01)

    def wait_for(self, name: str, report: Report) -> str:
        (self.folder / f"waiting.{name}").write_text(str(os.getpid()))
        (self.folder / f"waiting.{name}").rename(self.folder / f"ready.{name}")
        eventually(lambda: (self.folder / name).exists())
        return name

    def _first_time(self, name: str) -> bool:
        mark = self.folder / f"tried.{name}"
        seen = mark.exists()
        mark.touch()
        return not seen


@dataclass(frozen=True)
class BrokenSetup:
    """Raises an error in the setup, or dies there."""

    error: BaseException | None

    def setup(self, device: str) -> None:
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise self.error

    def run(self, payload: Any, report: Report) -> Any:
        raise AssertionError("no job may reach a worker that is not set up")


# --- helpers --------------------------------------------------------------------------------------


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail after TIMEOUT."""
    until = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists()
    return state != "Z"


def workers(folder: Path) -> list[int]:
    """The pids of all workers that were ever set up."""
    return [int(mark.suffix[1:]) for mark in folder.glob("worker.*")]


def drain(pool: Pool, count: int, react: Callable[[Message], None] = lambda message: None) -> list[Any]:
    """Collect all messages until `count` jobs have ended."""
    seen: list[Any] = []
    until = time.monotonic() + TIMEOUT
    while sum(isinstance(m, Ended) for m in seen) < count:
        assert time.monotonic() < until, f"jobs are missing after {seen}"
        for message in pool.messages(timeout=1.0):
            seen.append(message)
            react(message)
    return seen


def run_jobs(pool: Pool, *payloads: tuple[str, Any]) -> dict[int, Any]:
    """Submit jobs 0, 1, ... and return the last message of each."""
    for i, payload in enumerate(payloads):
        pool.submit(Job(i, payload))
    ends = [m for m in drain(pool, len(payloads)) if isinstance(m, Ended)]
    assert sorted(m.job.id for m in ends) == list(range(len(payloads)))
    return {m.job.id: m for m in ends}


def kinds(messages: list[Message], job_id: int) -> list[str]:
    return [type(m).__name__ for m in messages if m.job.id == job_id]


CONTROLLER = """
import importlib, sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from nas.pool import Job
from pool_contract import Behaviours
if __name__ == "__main__":
    make_pool = getattr(importlib.import_module({module!r}), {name!r})
    with make_pool(Behaviours(Path({folder!r})), slots=3) as pool:
        pool.submit(Job(0, ("train_for_ever", "a")))
        pool.submit(Job(1, ("rung_of_pid", None)))
        pool.submit(Job(2, ("train_for_ever", "b")))
        asked = False
        while True:
            for message in pool.messages(0.1):
                asked = asked or type(message).__name__ == "Rung"
            if asked:
                Path({folder!r}, "asked").touch()
"""


class PoolContract:
    """Subclass as `TestMyPool(PoolContract)` with `pool = MyPool`.

    `pool` must be importable from its module and take (work, slots=, hang_after=).
    """

    pool: ClassVar[Callable[..., Any]]

    @contextmanager
    def open(self, work: Any, slots: int = 2, hang_after: float | None = None) -> Iterator[Pool]:
        with type(self).pool(work, slots=slots, hang_after=hang_after) as pool:
            yield pool

    # Jobs and results

    def test_every_job_ends_once_with_its_own_result(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path)) as pool:
            ends = run_jobs(pool, *[("square", x) for x in range(25)])
        assert [ends[x] for x in range(25)] == [Done(Job(x, ("square", x)), x * x) for x in range(25)]

    def test_messages_of_a_job_come_in_order(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path)) as pool:
            for i in range(4):
                pool.submit(Job(i, ("climb", 2)))
            react = lambda m: pool.answer(m.job.id, True) if isinstance(m, Rung) else None  # noqa: E731
            seen = drain(pool, 4, react)
        for i in range(4):
            assert kinds(seen, i) == ["Started", "Rung", "Rung", "Done"]

    def test_slots_run_in_parallel_in_separate_processes(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=2) as pool:
            ends = run_jobs(pool, ("meet", ("a", 2)), ("meet", ("b", 2)))
        pids = {m.result for m in ends.values() if isinstance(m, Done)}
        assert len(pids) == 2
        assert os.getpid() not in pids

    def test_a_worker_is_kept_for_the_next_job(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            ends = run_jobs(pool, *[("pid", None)] * 5)
        assert len({m.result for m in ends.values() if isinstance(m, Done)}) == 1

    def test_idle_counts_the_free_slots(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=2) as pool:
            counts = [pool.idle()]
            for i in range(3):
                pool.submit(Job(i, ("square", i)))
                counts.append(pool.idle())
            drain(pool, 3)
            assert [*counts, pool.idle()] == [2, 1, 0, 0, 2]
            assert pool.slots == 2

    def test_an_id_may_be_used_again_only_after_its_job_has_ended(self, tmp_path: Path) -> None:
        import pytest

        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.submit(Job(7, ("square", 2)))
            with pytest.raises(ValueError, match="7"):
                pool.submit(Job(7, ("square", 3)))
            drain(pool, 1)
            pool.submit(Job(7, ("square", 3)))
            assert drain(pool, 1)[-1] == Done(Job(7, ("square", 3)), 9)

    def test_without_jobs_there_are_no_messages(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            assert pool.messages(0.0) == []

    def test_a_cancelled_job_sends_no_message_and_frees_its_slot(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.submit(Job(0, ("train_for_ever", "a")))
            pool.submit(Job(1, ("square", 5)))
            pool.submit(Job(2, ("square", 3)))
            eventually(lambda: any(isinstance(m, Started) for m in pool.messages(0.1)))
            pool.cancel(0)
            pool.cancel(1)
            pool.cancel(77)
            seen = drain(pool, 1)
            assert pool.idle() == 1
        assert {m.job.id for m in seen} == {2}

    # Rungs

    def test_a_negative_answer_stops_the_job(self, tmp_path: Path) -> None:
        def react(message: Message) -> None:
            if isinstance(message, Rung):
                pool.answer(message.job.id, message.step < message.job.id)

        with self.open(Behaviours(tmp_path)) as pool:
            for i in range(5):
                pool.submit(Job(i, ("climb", 4)))
            seen = drain(pool, 5, react)
        assert {m.job.id: m.result for m in seen if isinstance(m, Done)} == {i: i for i in range(5)}
        rungs = [(m.step, m.value) for m in seen if isinstance(m, Rung) and m.job.id == 2]
        assert rungs == [(0, 0.0), (1, 0.1), (2, 0.2)]

    def test_a_stop_does_not_affect_the_next_job(self, tmp_path: Path) -> None:
        def react(message: Message) -> None:
            if isinstance(message, Rung):
                pool.answer(message.job.id, message.job.id != 0)

        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.submit(Job(0, ("climb", 2)))
            pool.submit(Job(1, ("climb", 2)))
            seen = drain(pool, 2, react)
        assert [m.result for m in seen if isinstance(m, Done)] == [0, 2]

    def test_an_unexpected_answer_is_ignored(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.answer(99, False)
            pool.submit(Job(0, ("climb", 2)))
            pool.answer(0, False)
            seen = drain(pool, 1, lambda m: pool.answer(0, True) if isinstance(m, Rung) else None)
            pool.answer(0, False)
        assert seen[-1] == Done(Job(0, ("climb", 2)), 2)

    # Errors

    def test_an_exception_is_a_failure_with_its_traceback(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            ends = run_jobs(pool, ("fail", KeyError("learning rate")), ("pid", None), ("leave", 3), ("pid", None))
        failed, first, left, second = (ends[i] for i in range(4))
        assert isinstance(failed, Failed)
        assert failed.reason == "KeyError: 'learning rate'"
        assert "in fail" in failed.traceback
        assert "pool_contract.py" in failed.traceback
        assert isinstance(left, Failed)
        assert "SystemExit" in left.reason
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        assert first.result == second.result

    def test_a_result_that_cannot_be_pickled_is_a_failure(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            ends = run_jobs(pool, ("unpicklable", None), ("unreadable", None), ("square", 3))
        assert [type(ends[i]) for i in range(3)] == [Failed, Failed, Done]
        assert "lambda" in ends[0].reason
        assert "not a number" in ends[1].reason

    def test_a_payload_that_cannot_be_unpickled_is_a_failure(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            ends = run_jobs(pool, ("square", Unreadable()), ("square", 3))
        assert [type(ends[i]) for i in range(2)] == [Failed, Done]

    def test_out_of_memory_is_infeasible(self, tmp_path: Path) -> None:
        errors = [
            MemoryError(),
            OutOfMemoryError("Tried to allocate 2.00 GiB"),
            RuntimeError("CUDA error: out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
            RuntimeError("GET was unable to find an engine to execute this computation"),
            InfeasibleError("the network has 9 M parameters, more than 5 M"),
            RuntimeError("shapes do not match"),
        ]
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            ends = run_jobs(pool, *[("fail", error) for error in errors], ("square", 3))
        assert [type(ends[i]) for i in range(10)] == [Infeasible] * 8 + [Failed, Done]
        assert "2.00 GiB" in ends[1].reason
        assert ends[7].reason == "the network has 9 M parameters, more than 5 M"

    def test_a_worker_whose_gpu_broke_is_replaced(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            kernel = RuntimeError("CUDA error: device-side assert triggered")
            library = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
            ends = run_jobs(pool, ("pid", None), ("fail", kernel), ("pid", None), ("fail", library), ("pid", None))
        assert [type(ends[i]) for i in range(5)] == [Done, Failed, Done, Failed, Done]
        assert len({ends[i].result for i in (0, 2, 4)}) == 3

    # Dead and hung workers

    def test_a_job_whose_worker_is_killed_runs_again_once(self, tmp_path: Path) -> None:
        killed: list[int] = []

        def react(message: Message) -> None:
            if isinstance(message, Rung) and not killed:
                killed.append(int(message.value))
                os.kill(killed[0], signal.SIGKILL)
                eventually(lambda: not alive(killed[0]))
            if isinstance(message, Rung):
                pool.answer(message.job.id, True)

        with self.open(Behaviours(tmp_path)) as pool:
            pool.submit(Job(0, ("rung_of_pid", None)))
            seen = drain(pool, 1, react)
        assert kinds(seen, 0) == ["Started", "Rung", "Requeued", "Started", "Rung", "Done"]
        assert all(m.reason for m in seen if isinstance(m, Requeued))
        assert seen[-1] == Done(Job(0, ("rung_of_pid", None)), "went on")

    def test_a_job_that_kills_its_workers_is_lost(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path)) as pool:
            payloads = [("die", None), ("square", 2), ("die_once", "x"), ("die", None), ("square", 3)]
            for i, payload in enumerate(payloads):
                pool.submit(Job(i, payload))
            seen = drain(pool, 5)
            assert pool.idle() == 2
        for i in (0, 3):
            assert kinds(seen, i) == ["Started", "Requeued", "Started", "Lost"]
        assert kinds(seen, 2) == ["Started", "Requeued", "Started", "Done"]
        assert {m.job.id: m.result for m in seen if isinstance(m, Done)} == {1: 4, 2: "x lived", 4: 9}

    def test_the_death_of_an_idle_worker_affects_no_job(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pid = run_jobs(pool, ("pid", None))[0].result
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: not alive(pid))
            pool.messages(0.0)
            pool.submit(Job(1, ("pid", None)))
            seen = drain(pool, 1)
        assert kinds(seen, 1) == ["Started", "Done"]
        assert seen[-1].result != pid

    def test_a_worker_that_hangs_is_replaced(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), hang_after=2.0) as pool:
            pool.submit(Job(0, ("hang_once", "x")))
            pool.submit(Job(1, ("square", 5)))
            seen = drain(pool, 2)
            assert len([pid for pid in workers(tmp_path) if alive(pid)]) <= 2
        assert kinds(seen, 0) == ["Started", "Requeued", "Started", "Done"]
        assert kinds(seen, 1) == ["Started", "Done"]

    def test_a_job_with_heartbeats_does_not_count_as_hung(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1, hang_after=4.0) as pool:
            pool.submit(Job(0, ("send_heartbeats", 5.0)))
            seen = drain(pool, 1)
        assert kinds(seen, 0) == ["Started", "Done"]

    def test_a_worker_that_waits_for_an_answer_does_not_count_as_hung(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1, hang_after=1.0) as pool:
            pool.submit(Job(0, ("rung_of_pid", None)))
            seen: list[Any] = []
            while not any(isinstance(m, Rung) for m in seen):
                seen += pool.messages(1.0)
            assert pool.messages(1.5) == []
            pool.answer(0, True)
            seen += drain(pool, 1)
        assert kinds(seen, 0) == ["Started", "Rung", "Done"]

    def test_a_worker_with_unread_messages_does_not_count_as_hung(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1, hang_after=1.0) as pool:
            pool.submit(Job(0, ("wait_for", "go")))
            seen: list[Any] = []
            while not seen:
                seen += pool.messages(1.0)
            (tmp_path / "go").touch()
            time.sleep(1.5)
            seen += drain(pool, 1)
        assert kinds(seen, 0) == ["Started", "Done"]

    def test_workers_ignore_ctrl_c(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.submit(Job(0, ("wait_for", "go")))
            ready = tmp_path / "ready.go"
            until = time.monotonic() + TIMEOUT
            while not ready.exists():
                assert time.monotonic() < until
                pool.messages(0.05)
            os.kill(int(ready.read_text()), signal.SIGINT)
            (tmp_path / "go").touch()
            seen = drain(pool, 1)
        assert [type(m) for m in seen] == [Done]

    def test_every_job_ends_once_in_random_mixtures_of_outcomes(self, tmp_path: Path) -> None:
        outcomes: dict[str, tuple[Any, type]] = {
            "square": (4, Done),
            "fail": (ValueError("no"), Failed),
            "die_once": (None, Done),
            "die": (None, Lost),
            "leave": (1, Failed),
            "unpicklable": (None, Failed),
            "climb": (2, Done),
        }
        for seed in range(2):
            rng = random.Random(seed)
            chosen = rng.choices(list(outcomes), weights=[5, 3, 1, 1, 2, 2, 3], k=15)
            with self.open(Behaviours(tmp_path)) as pool:
                for i, name in enumerate(chosen):
                    pool.submit(Job(i, (name, f"{seed}.{i}" if name == "die_once" else outcomes[name][0])))
                react = lambda m, p=pool: p.answer(m.job.id, True) if isinstance(m, Rung) else None  # noqa: E731
                seen = drain(pool, len(chosen), react)
                assert pool.messages(0.2) == []
            ends = sorted((m for m in seen if isinstance(m, Ended)), key=lambda m: m.job.id)
            assert [m.job.id for m in ends] == list(range(len(chosen)))
            assert [type(m) for m in ends] == [outcomes[name][1] for name in chosen]
            for i in range(len(chosen)):
                starts, reruns = kinds(seen, i).count("Started"), kinds(seen, i).count("Requeued")
                assert starts == reruns + 1

    # Setup and close

    def test_an_error_in_the_setup_raises_pool_error(self) -> None:
        import pytest

        work = BrokenSetup(FileNotFoundError("no data set at /nowhere"))
        with self.open(work) as pool, pytest.raises(PoolError, match="no data set at /nowhere") as caught:
            pool.submit(Job(0, None))
            drain(pool, 1)
        assert "in setup" in caught.value.traceback
        assert "\n" not in str(caught.value)

    def test_a_death_in_the_setup_raises_pool_error(self) -> None:
        import pytest

        with self.open(BrokenSetup(None), slots=1) as pool, pytest.raises(PoolError):
            drain(pool, 1)

    def test_close_leaves_no_process(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=3) as pool:
            pool.submit(Job(0, ("train_for_ever", "a")))
            pool.submit(Job(1, ("rung_of_pid", None)))
            waiting = False
            until = time.monotonic() + TIMEOUT
            while not (waiting and (tmp_path / "training.a").exists() and len(workers(tmp_path)) == 3):
                assert time.monotonic() < until
                waiting = waiting or any(isinstance(m, Rung) for m in pool.messages(0.05))
            pids = workers(tmp_path)
            assert all(alive(pid) for pid in pids)
            pool.close()
            assert not any(alive(pid) for pid in pids)
            pool.close()

    def test_close_during_setup_leaves_no_process(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=2) as pool:
            pool.submit(Job(0, ("square", 1)))
        assert not any(alive(pid) for pid in workers(tmp_path))

    def test_a_closed_pool_refuses_jobs(self, tmp_path: Path) -> None:
        import pytest

        with self.open(Behaviours(tmp_path), slots=1) as pool:
            pool.close()
            with pytest.raises(ValueError, match="closed"):
                pool.submit(Job(0, ("square", 1)))

    def test_workers_do_not_outlive_a_killed_controller(self, tmp_path: Path) -> None:
        make_pool = type(self).pool
        script = tmp_path / "controller.py"
        fields = {"module": make_pool.__module__, "name": make_pool.__qualname__, "folder": str(tmp_path)}
        script.write_text(CONTROLLER.format(path=sys.path, **fields))
        controller = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
        try:
            marks = [tmp_path / name for name in ("training.a", "training.b", "asked")]
            eventually(lambda: all(mark.exists() for mark in marks))
            pids = workers(tmp_path)
            assert len(pids) == 3
            assert all(alive(pid) for pid in pids)
        finally:
            controller.kill()
            controller.wait()
        eventually(lambda: not any(alive(pid) for pid in pids))

    def test_messages_name_the_worker_that_started_a_job(self, tmp_path: Path) -> None:
        with self.open(Behaviours(tmp_path), slots=2) as pool:
            pool.submit(Job(0, ("meet", ("a", 2))))
            pool.submit(Job(1, ("meet", ("b", 2))))
            names = [m.worker for m in drain(pool, 2) if isinstance(m, Started)]
        assert len(set(names)) == 2
