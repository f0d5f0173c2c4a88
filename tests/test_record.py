"""The record of a trial: written to a study and read back, beside trials of other programs."""

from __future__ import annotations

import optuna
import pytest

from nas.record import TrialRecord, by_hash, end, enqueue, records, report, requeue, unfinished, used_budget, write


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def begun(study: optuna.Study, digest: str) -> optuna.Trial:
    trial = study.ask()
    write(trial, hash=digest, candidate="{}")
    return trial


def test_user_attributes_of_another_program_are_ignored(study: optuna.Study) -> None:
    attrs = {"outcome": 3, "rungs": "none", "partial": 1.5, "continues": "yesterday", "name": ["x"], "trial": 1}
    study.add_trial(optuna.trial.create_trial(value=0.5, intermediate_values={1: 0.25}, user_attrs=attrs))
    assert records(study) == [TrialRecord(study.trials[0], rungs={1: 0.25})]
    assert (records(study)[0].name, records(study)[0].score) == ("trial 0", 0.5)
    assert used_budget(study) == 0 and not by_hash(study)


def test_a_lost_baseline_is_queued_again_under_its_name(study: optuna.Study) -> None:
    enqueue(study, {"x": 0.5}, baseline=1, baseline_name="unet", outside_space=True)
    assert records(study)[0].name == "unet"  # while it is queued
    trial = begun(study, "a")
    trial.suggest_float("x", 0.0, 1.0)
    record = TrialRecord.of(trial)
    assert [trial.number for trial in unfinished(study)] == [record.number]
    end(study, trial, "lost", reason="killed")
    requeue(study, record)
    again = records(study)[1]
    assert (again.baseline, again.name, again.outside_space, again.outcome) == (1, "unet", True, None)
    assert again.trial.system_attrs["fixed_params"] == {"x": 0.5}
    assert used_budget(study) == 0


def test_budget_is_used_by_trials_that_a_worker_trained_to_their_end(study: optuna.Study) -> None:
    end(study, begun(study, "a"), "complete", 0.5)
    end(study, begun(study, "b"), "failed", reason="ValueError", traceback="...")
    end(study, begun(study, "c"), "infeasible", reason="constraint 0 is not met", free=True)
    end(study, begun(study, "a"), "duplicate", [0.5], optuna.trial.TrialState.COMPLETE, duplicate_of=0)
    begun(study, "d")
    assert used_budget(study) == 2
    assert {digest: record.number for digest, record in by_hash(study).items()} == {"a": 0, "b": 1}
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "RUNNING"]
    assert [trial.value for trial in study.trials] == [0.5, None, None, 0.5, None]


@pytest.mark.parametrize("objectives", [1, 2])
def test_the_score_of_a_pruned_trial_is_its_last_report(objectives: int) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"][:objectives])
    trial = begun(study, "a")
    for rung, value in ((10, 0.4), (30, 0.3)):
        report(study, trial, rung, value)
    end(study, trial, "pruned", steps=30)
    (record,) = records(study)
    assert record.rungs == {10: 0.4, 30: 0.3}
    assert (record.score, record.steps, record.outcome) == (0.3, 30, "pruned")


def test_an_unknown_field_is_refused(study: optuna.Study) -> None:
    with pytest.raises(KeyError, match="colour"):
        write(study.ask(), colour="red")
