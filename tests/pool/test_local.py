"""LocalPool passes the contract of pools, and sets the environment of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pool_contract import Behaviours, BrokenSetup, PoolContract, alive, drain, eventually, run_jobs, workers

from nas.controller.work import TrainWork
from nas.pool import Done, Job, LocalPool, PoolError, Requeued, Started

THREADS = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]


class TestLocalPool(PoolContract):
    pool = LocalPool


def test_cpu_workers_see_no_gpu_and_use_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    before = dict(os.environ)
    with LocalPool(Behaviours(tmp_path), slots=1, gpus=()) as pool:
        assert dict(os.environ) == before
        end = run_jobs(pool, ("environment", ["CUDA_VISIBLE_DEVICES", *THREADS, "PYTHONHASHSEED"]))[0]
    assert isinstance(end, Done)
    assert end.result == ["", "1", "1", "1", "0"]


def test_slots_are_distributed_over_the_gpus(tmp_path: Path) -> None:
    with LocalPool(Behaviours(tmp_path), workers_per_gpu=2, gpus=("3", "5")) as pool:
        assert pool.slots == 4
        ends = run_jobs(pool, *[("meet", (name, 4)) for name in "abcd"])
        pids = {m.result for m in ends.values()}
        if not Path("/proc/self/environ").exists():
            pytest.skip("another process's environment is read from /proc")
        inherited = [v for pid in pids for v in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
    seen = sorted(v for v in inherited if v.startswith(b"CUDA_VISIBLE_DEVICES="))
    assert seen == [b"CUDA_VISIBLE_DEVICES=%d" % gpu for gpu in (3, 3, 5, 5)]


def test_the_cause_of_a_worker_death_is_reported(tmp_path: Path) -> None:
    with LocalPool(Behaviours(tmp_path), slots=1, gpus=()) as pool:
        assert run_jobs(pool, ("die", None))[0].reason == "killed by SIGKILL"
    with LocalPool(BrokenSetup(None), slots=1, gpus=()) as pool, pytest.raises(PoolError, match="SIGKILL"):
        pool.messages(60.0)


def test_a_job_that_its_worker_never_started_keeps_its_rerun(tmp_path: Path) -> None:
    with LocalPool(Behaviours(tmp_path), slots=1, gpus=()) as pool:
        pid = run_jobs(pool, ("pid", None))[0].result
        pool.messages(0.5)
        os.kill(pid, signal.SIGSTOP)
        pool.submit(Job(1, ("die_once", "x")))
        pool.messages(0.0)
        os.kill(pid, signal.SIGKILL)
        seen = drain(pool, 1)
    assert [type(m) for m in seen] == [Started, Requeued, Started, Done]


def test_by_default_there_is_a_slot_per_available_core(tmp_path: Path) -> None:
    with LocalPool(Behaviours(tmp_path), gpus=()) as pool:
        assert pool.slots == len(os.sched_getaffinity(0))


def test_a_pool_without_slots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        LocalPool(Behaviours(tmp_path), slots=0, gpus=())


# A process started in the background ignores SIGINT, and so would its children.
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = {path!r}
from pathlib import Path
from nas.pool import Job, LocalPool, PoolError
from pool_contract import Behaviours, drain

def main():
    with LocalPool(Behaviours(Path({folder!r})), slots=1, gpus=()) as pool:
        {body}
"""


def script(folder: Path, body: str, guard: str) -> list[str]:
    path = folder / "script.py"
    path.write_text(SCRIPT.format(path=sys.path, folder=str(folder), body=body) + guard)
    return [sys.executable, str(path)]


GUARD = '\nif __name__ == "__main__":\n    main()\n'


def test_ctrl_c_ends_all_processes_and_only_the_controller_prints(tmp_path: Path) -> None:
    body = 'pool.submit(Job(0, ("train_for_ever", "a"))); drain(pool, 1)'
    controller = subprocess.Popen(
        script(tmp_path, body, GUARD), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    eventually((tmp_path / "training.a").exists)
    os.killpg(controller.pid, signal.SIGINT)
    _, errors = controller.communicate(timeout=60)
    assert errors.count("KeyboardInterrupt") == 1
    assert not any(alive(pid) for pid in workers(tmp_path))


def test_a_controller_that_exits_without_closing_leaves_no_worker(tmp_path: Path) -> None:
    body = 'pool.submit(Job(0, ("train_for_ever", "a"))); pool.messages(30); __import__("os")._exit(5)'
    assert subprocess.run(script(tmp_path, body, GUARD), check=False, timeout=60).returncode == 5
    eventually(lambda: not any(alive(pid) for pid in workers(tmp_path)))


def test_a_script_without_a_guard_raises_an_error(tmp_path: Path) -> None:
    unguarded = "\ntry:\n    main()\nexcept PoolError as error:\n    print(error)\n"
    found = subprocess.run(
        script(tmp_path, "drain(pool, 1)", unguarded), capture_output=True, text=True, timeout=60, check=False
    )
    assert 'if __name__ == "__main__":' in found.stdout
    assert found.stdout.count("\n") == 1


def test_a_pool_error_is_raised_again_and_not_respawned(tmp_path: Path) -> None:
    with LocalPool(Unimportable(), slots=1, gpus=()) as pool:
        for _ in range(2):
            with pytest.raises(PoolError, match="3 tries: ModuleNotFoundError"):
                pool.messages(60.0)


class Unimportable:
    """Unpickling imports a module that does not exist."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import a_module_that_is_not_there",)

    def setup(self, device: str) -> None:
        raise NotImplementedError

    def run(self, payload: object, report: object) -> None:
        raise NotImplementedError


def test_a_broken_gpu_is_reported_before_any_candidate_is_trained(tmp_path: Path) -> None:
    """The GPU index exists on no machine, as with a torch without CUDA or without a driver."""
    with LocalPool(TrainWork(NoData()), slots=1, gpus=["4095"]) as pool:
        pool.submit(Job(0, "never looked at"))
        with pytest.raises(PoolError, match="could not be set up in 3 tries"):
            while not pool.messages(60.0):
                pass


class NoData:
    def open(self) -> None:
        return None


def test_importing_the_pool_does_not_import_torch() -> None:
    code = "import sys, nas.pool; print([m for m in ('torch', 'numpy', 'optuna') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True).strip() == "[]"
