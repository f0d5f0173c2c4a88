"""What every sampler owes a search: used in any Optuna study, over any conditional space, from any state."""

from __future__ import annotations

import random
from collections.abc import Callable

import optuna
import pytest

from nas.space import Choice, Float, Int, Recipe, Repeat, close, from_trial, load_space, parameters
from nas.space.walk import Parameter

optuna.logging.set_verbosity(optuna.logging.ERROR)


def conditional(trial: optuna.Trial) -> float:
    """A plain Optuna objective of which no sampler was told beforehand."""
    kind = trial.suggest_categorical("kind", ["line", "bowl", None])
    if kind == "line":
        return trial.suggest_float("slope", 1e-3, 1.0, log=True)
    if kind == "bowl":
        x = trial.suggest_float("x", -2.0, 2.0)
        return 2.0 - x * x + 0.1 * trial.suggest_int("bonus", 0, 8, step=2)
    return 0.0


class SamplerContract:
    """Subclass as `class TestMine(SamplerContract)` with `make`, a callable that takes a seed."""

    make: Callable[[int], optuna.samplers.BaseSampler]

    def study(self, seed: int = 0, direction: str = "maximize") -> optuna.Study:
        return optuna.create_study(sampler=type(self).make(seed), direction=direction)

    def test_stays_inside_every_domain_of_a_shipped_space(self) -> None:
        space = load_space("multitask.py")
        known: dict[str, Parameter] = {p.path: p for p in parameters(space)}
        study, rng = self.study(), random.Random(0)
        for _ in range(40):
            trial = study.ask()
            close(space, from_trial(trial))
            for path, value in trial.params.items():
                assert known[path].domain.holds(value)
            study.tell(trial, rng.random())

    def test_a_seed_repeats_itself(self) -> None:
        one, two, other = self.study(1), self.study(1), self.study(2)
        for study in (one, two, other):
            study.optimize(conditional, n_trials=40)
        params = [[t.params for t in study.trials] for study in (one, two, other)]
        assert params[0] == params[1]
        assert params[0] != params[2]

    def test_serves_a_plain_study_in_either_direction(self) -> None:
        best = self.study()
        best.optimize(conditional, n_trials=60)
        assert best.best_value > 1.0
        least = self.study(direction="minimize")
        least.optimize(conditional, n_trials=60)
        assert least.best_value < 0.0

    def test_takes_failed_pruned_and_empty_trials_as_they_come(self) -> None:
        study = self.study()
        for i in range(60):
            trial = study.ask()
            if i % 4 == 0:
                study.tell(trial, 0.1)  # no parameter at all
                continue
            value = conditional(trial)
            if i % 4 == 1:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif i % 4 == 2:
                trial.report(value / 2, 1)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, value)
        assert len(study.trials) == 60

    def test_many_may_be_asked_before_any_is_told(self) -> None:
        study = self.study()
        for _ in range(8):
            asked = [(trial, conditional(trial)) for trial in (study.ask() for _ in range(6))]
            for trial, value in reversed(asked):
                study.tell(trial, value)
        assert len(study.trials) == 48

    def test_an_enqueued_trial_is_given_as_it_is(self) -> None:
        study = self.study()
        study.enqueue_trial({"kind": "bowl", "x": 1.25, "bonus": 4})
        trial = study.ask()
        assert conditional(trial) == pytest.approx(2 - 1.25**2 + 0.4)

    def test_serves_every_kind_of_domain(self) -> None:
        space = Recipe(
            encoder=Repeat(Choice("a", Int(1, 3)), times=Int(1, 3)),
            decoder=Choice((1, 2), (3,), 2.5, None, True),
            norm=Float(0.0, 1.0, step=0.25),
            clip=Int(1, 64, log=True),
        )
        study = self.study()
        for i in range(40):
            trial = study.ask()
            candidate = close(space, from_trial(trial))
            study.tell(trial, float(candidate.norm) + i * 1e-3)
        assert study.best_trial.params["norm"] in (0.0, 0.25, 0.5, 0.75, 1.0)
