"""Promotion of stopped candidates: which one, their trials, and a whole search."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from nas import record
from nas.runs.run import Run
from nas.samplers import SurrogateSampler
from nas.samplers.archive import Archive
from nas.stopping import AsyncHalving, Promotion
from nas.stopping.promotion import promotable
from tests.shell import SHORT, Shell

RUNGS = (1, 3, 9)


def stopped(study: optuna.Study, x: float, reports: dict[int, float], **attrs: int) -> optuna.trial.FrozenTrial:
    """Add a trial that was stopped early."""
    trial = study.ask()
    trial.suggest_float("x", 0, 100)
    record.write(trial, candidate="{}", hash=f"{x}", **attrs)
    for rung, value in reports.items():
        record.report(study, trial, rung, value)
    record.end(study, trial, "pruned")
    return study.trials[-1]


def scene(scores: list[dict[int, float]], folder: Path) -> tuple[optuna.Study, Promotion]:
    """Create a study of stopped trials with saved states, and a rule that has recorded them."""
    study, rule = optuna.create_study(direction="maximize"), Promotion(RUNGS)
    for i, reports in enumerate(scores):
        stopped(study, i, reports)
        (folder / str(i)).touch()
        for rung, value in reports.items():
            rule.record(i, rung, value)
    return study, rule


def test_the_best_third_is_promoted_from_the_highest_rung_first(tmp_path: Path) -> None:
    scores = [{1: 0.1}, {1: 0.5, 3: 0.6}, {1: 0.7}, {1: 0.6, 3: 0.5}, {1: 0.2}, {1: 0.8, 3: 0.7}]
    study, rule = scene(scores, tmp_path)
    kept = tmp_path.joinpath

    def found(*busy: str) -> int | None:
        trial = promotable(study, rule, kept, busy)
        return None if trial is None else trial.number

    # One of three passes rung 3. Two of six pass rung 1: trial 2, and trial 5, which has passed it before.
    assert found() == 5
    assert found("5") == 2
    assert found("5", "2") is None
    kept("5").unlink()  # without its state, it cannot be resumed
    assert found() == 2


def test_a_resumed_trial_replaces_the_first_one(tmp_path: Path) -> None:
    study, _ = scene([{1: 0.4}, {1: 0.5}, {1: 0.6}], tmp_path)
    first = study.trials[2]
    record.enqueue(study, first.params, continues=2)
    trial = study.ask()
    trial.suggest_float("x", 0, 100)
    record.write(trial, hash="2", candidate="{}")
    for rung, value in ((1, 0.6), (3, 0.7), (9, 0.8)):
        record.report(study, trial, rung, value)
    assert record.used_budget(study) == 3 and record.by_hash(study)["2"].number == 2
    record.end(study, trial, "complete", 0.8)
    assert record.used_budget(study) == 3
    assert [t.number for t in record.by_hash(study).values()] == [0, 1, 3]
    assert record.records(study)[3].first_number == 2
    for reading in ([4], [3, 4]):  # all at once, or after the first was read
        archive = Archive(study)
        for upto in reading:
            part = optuna.create_study(direction="maximize")
            part.add_trials(study.trials[:upto])
            archive.update(part)
        assert [t.number for t in archive.trials] == [0, 1, 3]
        assert archive.fitnesses()[2].tolist() == [float("inf"), 0.8]
        assert archive.codes().shape == (3, 1)
    study.sampler = SurrogateSampler(seed=0)
    study.ask().suggest_float("x", 0, 100)


def test_only_promotion_promotes() -> None:
    assert Promotion(RUNGS).promotes and not AsyncHalving(RUNGS).promotes


def poor(like: optuna.trial.FrozenTrial, number: int) -> optuna.trial.FrozenTrial:
    """Another candidate, stopped at the first rung with score 0."""
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.PRUNED,
        params=like.params,
        distributions=like.distributions,
        user_attrs={**like.user_attrs, "hash": f"poor-{number}"},
        intermediate_values={min(like.intermediate_values): 0.0},
    )


@pytest.mark.slow
def test_a_search_resumes_stopped_candidates_without_using_more_budget(shell: Shell) -> None:
    options = ("--space", "small.py", "--stopping", "promotion", "--sampler", "random", "--name", "one", "--seed", "1")
    ended = shell.run("search", *options, "--budget", "16", *SHORT)
    assert ended.returncode == 0, ended.stderr
    run = Run(shell.folder / "runs" / "one")
    stopped_first = [r for r in record.records(run.study()) if r.outcome == "pruned"]
    # With twice as many poor candidates added, all sixteen belong to the best third.
    run.study().add_trials([poor(stopped_first[0].trial, i) for i in range(32)])
    extended = shell.run("search", "--resume", "runs/one", "--budget", "56")
    assert extended.returncode == 0, extended.stderr
    found = record.records(run.study())
    went_on = [r for r in found if r.continues is not None]
    assert record.used_budget(run.study()) == 56
    at_first_rung = {r.number for r in stopped_first if len(r.rungs) == 1}
    assert at_first_rung <= {r.continues for r in went_on}
    for later in went_on:
        first = found[later.first_number]
        assert first.outcome == "pruned" and first.trial.params == later.trial.params
        assert {rung: later.rungs[rung] for rung in first.rungs} == first.rungs
        assert max(later.rungs) > max(first.rungs) and later.seconds > first.seconds
    last = record.by_hash(run.study())
    kept = {path.name.split("-")[0] for path in (run.folder / "checkpoints").glob("*.state")}
    left = {digest for digest, ended in last.items() if ended.outcome == "pruned"}
    assert kept == {digest for digest in left if not digest.startswith("poor")}
