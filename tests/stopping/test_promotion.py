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
    for name, content in {"hash": f"{x}", **attrs}.items():
        trial.set_user_attr(name, content)
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
    study.enqueue_trial(first.params, user_attrs={record.CONTINUES: 2})
    trial = study.ask()
    trial.suggest_float("x", 0, 100)
    trial.set_user_attr("hash", "2")
    trial.set_user_attr(record.CANDIDATE, "{}")
    for rung, value in ((1, 0.6), (3, 0.7), (9, 0.8)):
        record.report(study, trial, rung, value)
    assert record.spent(study) == 3 and record.by_hash(study)["2"].number == 2
    record.end(study, trial, "complete", 0.8)
    assert record.spent(study) == 3
    assert [t.number for t in record.by_hash(study).values()] == [0, 1, 3]
    assert record.first_number(study.trials[3]) == 2
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
        intermediate_values={min(record.rungs(like)): 0.0},
    )


@pytest.mark.slow
def test_a_search_resumes_stopped_candidates_without_using_more_budget(shell: Shell) -> None:
    options = ("--space", "small.py", "--stopping", "promotion", "--sampler", "random", "--name", "one", "--seed", "1")
    ended = shell.run("search", *options, "--budget", "16", *SHORT)
    assert ended.returncode == 0, ended.stderr
    run = Run(shell.folder / "runs" / "one")
    stopped_first = [t for t in run.study().trials if record.outcome(t) == "pruned"]
    # With twice as many poor candidates added, all sixteen belong to the best third.
    run.study().add_trials([poor(stopped_first[0], i) for i in range(32)])
    extended = shell.run("search", "--resume", "runs/one", "--budget", "56")
    assert extended.returncode == 0, extended.stderr
    found = run.study().get_trials(deepcopy=False)
    went_on = [t for t in found if record.CONTINUES in t.user_attrs]
    assert record.spent(run.study()) == 56
    at_first_rung = {t.number for t in stopped_first if len(record.rungs(t)) == 1}
    assert at_first_rung <= {t.user_attrs[record.CONTINUES] for t in went_on}
    for trial in went_on:
        first = found[trial.user_attrs[record.CONTINUES]]
        before, after = record.rungs(first), record.rungs(trial)
        assert record.outcome(first) == "pruned" and first.params == trial.params
        assert {rung: after[rung] for rung in before} == before and max(after) > max(before)
        assert trial.user_attrs["seconds"] > first.user_attrs["seconds"]
    last = record.by_hash(run.study())
    kept = {path.name.split("-")[0] for path in (run.folder / "checkpoints").glob("*.state")}
    left = {digest for digest, trial in last.items() if record.outcome(trial) == "pruned"}
    assert kept == {digest for digest in left if not digest.startswith("poor")}
