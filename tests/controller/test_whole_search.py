"""Whole searches as a user types them: a finished run, resumed runs, killed processes, bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

import nas
from nas.errors import UserError
from nas.export import load_checkpoint
from nas.record import TrialRecord, records
from nas.runs.data_record import read_data_record
from nas.runs.run import Run, new_folder
from nas.runs.settings import settings_of
from tests.shell import ALONE, SHORT, Shell, alive_in_session, draw_set, kill, wait_until


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shell_in: Callable[[Path], Shell]) -> tuple[Shell, Any]:
    shell = shell_in(tmp_path_factory.mktemp("finished"))
    return shell, shell.run_process("search", "--space", "small.py", "--budget", "7", "--name", "one", *SHORT)


def counted(run: Run) -> list[TrialRecord]:
    return [record for record in records(run.study()) if record.costs_budget]


def assert_budget_spent_once(run: Run, budget: int) -> None:
    ended = counted(run)
    assert len(ended) == budget
    assert len({record.hash for record in ended}) == budget
    states = {t.state.name for t in run.study().get_trials(deepcopy=False)}
    assert "RUNNING" not in states


def test_ends_with_a_table_a_checkpoint_and_the_next_commands(finished: tuple[Shell, Any]) -> None:
    shell, ended = finished
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    lines = ended.stdout.splitlines()
    assert any("rank" in line and "mIoU" in line for line in lines)
    assert any("nas-evaluate runs/one/best.safetensors" in line for line in lines)
    folder = shell.folder / "runs" / "one"
    names = {p.name for p in folder.iterdir()}
    assert {"study.db", "space.json", "artifacts", "checkpoints", "best.safetensors", "ranking.csv"} <= names
    assert {"report.html", "search.log"} <= names
    assert "cache" not in names
    assert {p.name for p in shell.folder.iterdir()} == {"runs", "small.py"}


def test_the_summary_of_the_images_is_in_the_log_the_report_and_the_checkpoint(shell: Shell) -> None:
    """With its warnings, although the images are read before there is a log."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        for n in range(count):
            mask = np.where(rng.random((16, 24)) < 0.5, 255, rng.integers(0, 2 if split == "train" else 3, (16, 24)))
            for kind, pixels in (("images", rng.integers(0, 256, (16, 24, 3), np.uint8)), ("masks", mask)):
                (shell.folder / "set" / kind / split).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(shell.folder / "set" / kind / split / f"{n}.png"), pixels.astype(np.uint8))
    once = ("--budget", "1", "--best", "1", "--repeats", "1", "--steps", "2", "--workers", "1")
    ended = shell.run_process("search", "--space", "small.py", "--data", "folder:set", "--name", "summary", *once)
    assert ended.returncode == 0, ended.stderr
    folder = shell.folder / "runs" / "summary"
    log, page = (folder / "search.log").read_text(), (folder / "report.html").read_text()
    never = "class 2 is in the ranking and test images but no labelled image shows it"
    for said in (
        "16 labelled (8 for training, 4 for ranking, 4 for testing), 0 unlabelled",
        never,
        "255 is read as void",
    ):
        assert said in log and said in page
        assert said in ended.stdout + ended.stderr
    assert any(never in each for each in json.loads((folder / "data.json").read_text())["warnings"])
    kept = load_checkpoint(folder / "best.safetensors").provenance["data"]["understood"]
    assert kept["images"] == {"labelled": 8, "unlabelled": 0, "validation": 4, "test": 4}


def test_the_study_holds_the_trials(finished: tuple[Shell, Any]) -> None:
    run = Run(finished[0].folder / "runs" / "one")
    assert_budget_spent_once(run, 7)
    assert counted(run)[0].baseline == 0
    for record in counted(run):
        assert record.outcome in ("complete", "pruned")
        assert {"params", "macs", "seconds", "peak_mb", "candidate"} <= set(record.trial.user_attrs)
        assert record.rungs
    frame = run.frame()
    assert len(frame) >= 7
    assert {"miou", "outcome", "norm", "encoder.stages.times", "rung 1"} <= set(frame.columns)
    with sqlite3.connect(run.folder / "study.db") as database:
        assert database.execute("select count(*) from studies").fetchone() == (1,)


def test_the_ranking_holds_the_baseline_and_the_best(finished: tuple[Shell, Any]) -> None:
    run = Run(finished[0].folder / "runs" / "one")
    table = run.ranking
    assert "first" in table["name"].tolist()  # the variable of the space file
    assert table["miou"].is_monotonic_decreasing
    assert table.loc[table["naive"], "name"].tolist() == ["location map"]
    trained = table[~table["naive"]]
    assert (trained["seeds"] == 2).all()
    kept = {p.stem.split("-")[0] for p in (run.folder / "checkpoints").iterdir()}
    assert kept <= set(trained["hash"])
    for digest in trained["hash"]:
        assert all(run.checkpoint(digest, seed).exists() for seed in (0, 1))


def test_the_winner_loads_and_evaluate_repeats_its_score(finished: tuple[Shell, Any]) -> None:
    shell, _ = finished
    run = Run(shell.folder / "runs" / "one")
    network = nas.load(run.best_checkpoint)
    assert network(torch.rand(1, 3, 17, 23)).shape == (1, 9, 17, 23)
    found = nas.export.load_checkpoint(run.best_checkpoint)
    ended = shell.run("evaluate", "runs/one/best.safetensors", "--split", "validation")
    assert ended.returncode == 0, ended.stderr
    assert f"{found.metrics['validation_miou']:.4f}" in ended.stdout
    tested = shell.run("evaluate", "runs/one/best.safetensors", "--split", "test")
    assert f"{found.metrics['test_miou']:.4f}" in tested.stdout


def test_a_finished_run_is_extended(finished: tuple[Shell, Any]) -> None:
    shell, _ = finished
    ended = shell.run("search", "--resume", "runs/one", "--budget", "9", "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert_budget_spent_once(Run(shell.folder / "runs" / "one"), 9)


@pytest.mark.slow
def test_a_poor_baseline_is_not_stopped_and_is_trained_once_a_seed(shell: Shell) -> None:
    rates = (5e-3, 4e-3, 3e-3, 1e-9)  # the last one learns nothing: halving stops it at its first rung
    hopeless = f"baselines=tuple(replace(first, optimizer=Adam(lr=lr)) for lr in {rates})"
    shell.space.write_text(shell.space.read_text().replace("baselines=(first,)", hopeless))
    options = ("--budget", "4", "--workers", "1", "--name", "one")
    ended = shell.run("search", "--space", "small.py", *options, *SHORT)
    assert ended.returncode == 0, ended.stderr
    run = Run(shell.folder / "runs" / "one")
    trained = counted(run)
    assert [(record.baseline, record.outcome) for record in trained] == [(i, "complete") for i in range(4)]
    rung = min(trained[0].rungs)
    assert min(trained, key=lambda record: record.rungs[rung]) is trained[3]
    row = run.ranking.set_index("name").loc["baseline 3"]
    first_seed = run.study().user_attrs["repeats"][row["hash"]]["0"]
    assert first_seed["miou"] == trained[3].score == row["search_miou"]


@pytest.mark.slow
def test_one_worker_and_one_seed_give_the_same_ranking_twice(shell: Shell) -> None:
    tables = []
    for name in ("a", "b"):
        options = ("--budget", "12", "--workers", "1", "--seed", "3", "--name", name)
        ended = shell.run_process("search", "--space", "small.py", *options, *SHORT)
        assert ended.returncode == 0, ended.stderr
        table = pd.read_csv(shell.folder / "runs" / name / "ranking.csv")
        tables.append(table[["rank", "name", "hash", "miou", "interval", "search_miou"]])
    pd.testing.assert_frame_equal(tables[0], tables[1])


SET = ("--data", "folder:set")


def study_has(run_folder: Path, trials: int) -> Callable[[], bool]:
    """A condition: the run of another process has this many ended trials."""

    def look() -> bool:
        try:
            with sqlite3.connect(f"file:{run_folder / 'study.db'}?mode=ro", uri=True) as database:
                found = database.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')")
                return bool(found.fetchone()[0] >= trials)
        except sqlite3.Error:
            return False

    return look


def start(shell: Shell, budget: int) -> Any:
    options = ("--budget", str(budget), "--workers", "2", "--name", "one")
    return shell.start("search", "--space", "small.py", *options, *SHORT)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(shell: Shell) -> None:
    process = start(shell, 8)
    folder = shell.folder / "runs" / "one"
    wait_until(study_has(folder, 2))
    workers = [pid for pid in alive_in_session(process.pid) if b"spawn_main" in command_of(pid)]
    assert len(workers) == 2
    kill(workers[0])
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert_budget_spent_once(Run(folder), 8)
    assert not list(alive_in_session(process.pid))


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


SLOW_SIGNALS = [pytest.param(sign, marks=pytest.mark.slow) for sign in (signal.SIGKILL, signal.SIGTERM)]


@pytest.mark.parametrize("sign", [signal.SIGINT, *SLOW_SIGNALS])
def test_a_stopped_controller_leaves_no_process_and_a_run_that_resumes(shell: Shell, sign: int) -> None:
    # More candidates than it can try before the signal, on any machine.
    process = start(shell, 60)
    folder = shell.folder / "runs" / "one"
    wait_until(study_has(folder, 2))
    kill(process.pid, sign)
    _, err = process.communicate(timeout=60)
    if sign != signal.SIGKILL:
        assert process.returncode == 130
        assert err.splitlines()[-1] == "nas-search: interrupted"
    wait_until(lambda: not list(alive_in_session(process.pid)), seconds=20)
    budget = len(counted(Run(folder))) + 2
    ended = shell.run("search", "--resume", "runs/one", "--budget", str(budget), "--workers", "1")
    assert ended.returncode == 0, ended.stderr
    assert_budget_spent_once(Run(folder), budget)


FAULTY = """
from dataclasses import dataclass
import torch
from nas import *
from nas.space import Component

@dataclass(frozen=True)
class FaultyLoss(Component):
    how: str = "fail"

    def build(self, class_pixels):
        # Not on the two images that options are tried on before a search.
        real = sum(class_pixels) > 2000
        if real and self.how == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 999 GiB")
        if real and self.how == "fail":
            raise ValueError("this loss is broken on purpose")
        return CrossEntropy().build(class_pixels)

space = Recipe(
    encoder=Encoder(stages=(Stage(width=4, block=Plain(convs=1)),)), decoder=UNet(),
    loss=FaultyLoss(how=Choice("fail", "memory", "fine")),
    method=Supervised(), optimizer=Adam(), schedule=Poly(), augment=Augment(), labelled_batch=Choice(1, 2),
)
"""


@pytest.mark.slow
def test_failures_keep_their_traceback_and_an_exhausted_space_ends_the_search(shell: Shell) -> None:
    (shell.folder / "faulty.py").write_text(FAULTY)
    options = ("--budget", "30", "--sampler", "random", "--name", "one")
    ended = shell.run("search", "--space", "faulty.py", *options, *SHORT)
    assert ended.returncode == 0, ended.stderr
    assert "The space holds nothing new: 6 of 30 candidates were tried." in ended.stdout
    run = Run(shell.folder / "runs" / "one")
    assert_budget_spent_once(run, 6)
    failed, infeasible = ([r for r in counted(run) if r.outcome == how] for how in ("failed", "infeasible"))
    assert len(failed) == len(infeasible) == 2
    assert all("this loss is broken on purpose" in record.traceback for record in failed)
    assert all("FaultyLoss" in record.candidate for record in failed)
    assert all("out of memory" in record.reason for record in infeasible)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("replace(space, baselines=())", "none of 100 candidates drawn from the space meets its constraints"),
        ("replace(first, baselines=())", "the recipe does not meet its constraints"),
    ],
)
def test_a_space_whose_constraints_nothing_meets_is_refused(shell: Shell, space: str, message: str) -> None:
    text = f"{shell.space.read_text()}\nspace = {space}.where(lambda c: False)"
    (shell.folder / "strict.py").write_text(text)
    draw_set(shell.folder / "set", "abcdefghi")
    ended = shell.run("search", "--space", "strict.py", "--budget", "2", *ALONE, *SET)
    assert ended.returncode == 2
    assert ended.stderr == f"nas-search: error: {message}: loosen them, or widen the space\n"
    assert not list(shell.folder.glob("runs/*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--space", "nonsense.py"], "nonsense.py: there is no such file"),
        ([], "give --space FILE"),
        (["--space", "small.py", "--budget", "0"], "--budget 0: give 1 or more"),
        (["--space", "small.py", "--size", "big"], "'big' is not a size"),
        (["--space", "small.py", "--size", "2x2"], "give 8 pixels or more"),
        (["--space", "small.py", "--sampler", "magic"], "--sampler magic: unknown sampler"),
        (["--space", "small.py", "--max-time", "soon"], "'soon' is not a time"),
        (["--space", "small.py", "--max-time", "60"], "'60' is not a time: write 90s, 45m or 2h"),
        (["--space", "small.py", "--hang-after", "60"], "'60' is not a time"),
        (["--space", "small.py", "--stopping", "magic"], "--stopping magic"),
        (["--space", "small.py", "--data", "nothing:here"], "nothing"),
        (["--space", "small.py", "--data", "camvid:/not/there"], "/not/there"),
        (["--space", "small.py", "--labels", "0"], "0"),
        (["--resume", "runs/none"], "there is no such run"),
        (["--resume", "runs/none", "--space", "small.py"], "--space cannot change"),
        (["--bogus"], "No such option"),
        (["--space", "small.py", "--seed", "-1"], "--seed -1: give 0 or more"),
        (["--space", "small.py", "--hang-after", "0"], "--hang-after 0s: give a positive time"),
        (["--space", "small.py", "--storage", "foo"], "--storage foo cannot be opened"),
        (["--space", "small.py", "--storage", "sqlite:////nowhere/x.db"], "cannot be opened"),
        (["--space", "small.py", *SET, "--name", "../x"], "--name '../x': give a plain name"),
        (["--space", "small.py", *SET, "--name", ""], "--name '': give a plain name"),
        (["--space", "small.py", "--format", "nni"], "add --describe"),
        (["--resume", "runs/none", "--describe"], "give RUN/space.py"),
        (["--space", "exits.py"], "exits.py:1: SystemExit: 3"),
        (["--space", "nowhere.py"], "where: True is not a function"),
        (["--space", "closed.py", *SET], "the recipe cannot be built: Norms.encoder is 'bacth'"),
        (["--space", "small.py", "--latency-on", "cpu"], "needs latency as an objective"),
        (["--space", "small.py", "--objectives", "miou,latency", "--latency-on", "tpu"], "use cpu or cuda"),
        (
            ["--space", "wide.py", "--sampler", "gp"],
            "--sampler gp enumerates integers: the range of labelled_batch is too large",
        ),
        (["--space", "method.py", *SET], "the recipe cannot be built: method.threshold is 2: use a number from 0 to 1"),
        (["--space", "small.py", "--no-holdout"], "give a closed recipe without baselines"),
        (["--space", "baseline.py", *SET], "baselines.0 cannot be built: Norms.encoder is 'bacth'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(shell: Shell, options: list[str], message: str) -> None:
    draw_set(shell.folder / "set", "abcdefghi")
    small = shell.space.read_text()
    misspelt = "replace(first, norm='bacth')"
    for name, text in {
        "exits": "raise SystemExit(3)",
        "nowhere": f"{small}\nspace = space.where(True)",
        "closed": f"{small}\nspace = {misspelt}",
        "wide": f"{small}\nspace = replace(space, labelled_batch=Int(1, 2**62))",
        "method": f"{small}\nfrom nas import S4GAN\nspace = replace(first, method=S4GAN(threshold=2))",
        "baseline": f"{small}\nspace = replace(space, baselines=({misspelt},))",
    }.items():
        (shell.folder / f"{name}.py").write_text(text)
    ended = shell.run("search", *options)
    assert ended.returncode == 2
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("nas-search: error: ")
    assert message in last
    assert "Traceback" not in ended.stderr
    assert not (shell.folder / "runs").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bugdet": 3}, "there is no setting 'bugdet': choose from best, budget, "),
        ({"budget": "3"}, "--budget 3: give a number, not str"),
        ({"size": (32, 48, 64)}, "(32, 48, 64) is not a size: write height x width"),
        ({"labels": ["a", "b"]}, "labels ['a', 'b']: give it as text, like 1/8, 46, all or FILE.txt"),
        ({"data": Path("photos")}, "give it as text, like scenes or folder:PATH"),
    ],
)
def test_bad_input_from_python_is_a_user_error(shell: Shell, settings: dict[str, Any], message: str) -> None:
    from nas.api import search

    with pytest.raises(UserError, match=re.escape(message)):
        search(shell.space, **settings)


def test_a_count_of_labels_may_be_a_number_and_a_list_a_path() -> None:
    assert settings_of(space="small.py", labels=46).labels == "46"
    assert settings_of(space="small.py", labels=Path("/lists/some.txt")).labels == "/lists/some.txt"


def test_a_closed_recipe_may_be_trained_on_the_whole_split(shell: Shell) -> None:
    (shell.folder / "closed.py").write_text(f"{shell.space.read_text()}\nspace = first")
    ended = shell.run("search", "--space", "closed.py", "--budget", "1", "--no-holdout", "--name", "one", *ALONE)
    assert ended.returncode == 0, ended.stderr
    assert "scored on the test split's" in ended.stdout
    assert "Ranking by mIoU on the test split" in ended.stdout and "nothing else" not in ended.stdout
    scores = [
        shell.run("evaluate", "runs/one/best.safetensors", "--split", split).stdout for split in ("validation", "test")
    ]
    assert "stored with the checkpoint: mIoU" in scores[0] and "differ" not in "".join(scores)
    said = "Nothing was held out for validation: these are the images of the test split.\n"
    assert said in scores[0]
    assert scores[0].replace(said, "").replace("validation:", "test:") == scores[1]


def test_folds_reduced_by_the_time_limit_are_reported_everywhere(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.controller.planning.fit_time_limit", lambda settings, *given: (settings, 2))
    draw_set(shell.folder / "set", "abcdefghijkl")
    ended = shell.run(
        "search", "--space", "small.py", "--budget", "1", "--max-time", "2m", "--name", "one", *ALONE, *SET
    )
    assert ended.returncode == 0, ended.stderr
    assert "ranked on 3 folds" in ended.stdout
    assert "9 steps on each of 2 folds instead of 3 (the time limit)" in ended.stdout
    run = Run(shell.folder / "runs" / "one")
    assert any("ranked on 2 folds" in line for line in read_data_record(run.folder)[0])
    said = shell.run("evaluate", "runs/one").stdout
    assert said.startswith("The search ranked on 2 folds of the labelled images")
    assert "differ" not in said


def test_runs_that_share_a_storage_have_studies_of_their_own(shell: Shell) -> None:
    storage = ("--storage", f"sqlite:///{shell.folder / 'shared.db'}", *ALONE)
    first = shell.run("search", "--space", "small.py", "--budget", "1", "--name", "one", *storage)
    assert first.returncode == 0, first.stderr
    shutil.rmtree(shell.folder / "runs" / "one")
    again = shell.run("search", "--space", "small.py", "--budget", "1", "--name", "one", *storage)
    assert again.returncode == 2
    assert "--storage holds the study one of another run: choose another --name" in again.stderr
    assert not (shell.folder / "runs" / "one").exists()


def test_a_generated_name_avoids_those_of_other_studies(tmp_path: Path) -> None:
    assert new_folder("small.py", root=tmp_path, studies=["small-1", "small-2"]) == tmp_path / "small-3"


def test_describe_and_help_load_nothing_heavy(shell: Shell) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nimport nas, nas.cli.search\n"
        "try:\n    nas.cli.search.main(['--help'])\nexcept SystemExit as e:\n    assert e.code == 0\n"
        "heavy = {'torch', 'numpy', 'optuna', 'pandas', 'cv2', 'plotly'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert ended.returncode == 0, ended.stderr
    assert max(map(len, ended.stdout.splitlines())) <= 80
    described = shell.run("search", "--space", "small.py", "--describe")
    assert described.returncode == 0
    assert "pretext.Jigsaw = False | True" in described.stdout
    assert "Baselines, tried first: 1" in described.stdout
