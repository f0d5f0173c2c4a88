"""Contract of samplers: they work in any Optuna study, over any conditional space, from any state."""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from nas.errors import UserError
from nas.space import Choice, Float, Int, Recipe, Repeat, close, from_trial, load_space, parameters
from nas.space.walk import Parameter

optuna.logging.set_verbosity(optuna.logging.ERROR)


FAIL = optuna.trial.TrialState.FAIL

MIXED: dict[str, optuna.distributions.BaseDistribution] = {
    "label": optuna.distributions.CategoricalDistribution(["a", "b", "c"]),
    "number": optuna.distributions.IntDistribution(0, 9),
    "fraction": optuna.distributions.FloatDistribution(0.0, 1.0),
}


@functools.cache
def stored_trials(count: int) -> list[optuna.trial.FrozenTrial]:
    """Complete trials with random parameters."""
    rng, found = random.Random(0), []
    for _ in range(count):
        number, fraction = rng.randint(0, 9), rng.uniform(0.0, 1.0)
        params = {"label": rng.choice("abc"), "number": number, "fraction": fraction}
        found.append(optuna.trial.create_trial(params=params, distributions=MIXED, value=number - fraction))
    return found


def conditional(trial: optuna.Trial) -> float:
    """Conditional objective that is unknown to the sampler."""
    kind = trial.suggest_categorical("kind", ["line", "bowl", None])
    if kind == "line":
        return trial.suggest_float("slope", 1e-3, 1.0, log=True)
    if kind == "bowl":
        x = trial.suggest_float("x", -2.0, 2.0)
        return 2.0 - x * x + 0.1 * trial.suggest_int("bonus", 0, 8, step=2)
    return 0.0


def later_mean(study: optuna.Study) -> float:
    """Mean value of the second half of the trials."""
    return statistics.fmean(t.values[0] for t in study.trials[len(study.trials) // 2 :])


class SamplerContract:
    """Subclass as `class TestMine(SamplerContract)` with `make`, a function from a seed to a sampler."""

    make: Callable[[int], optuna.samplers.BaseSampler]
    resumes_exactly = False
    """Whether a new sampler continues a stored study exactly as the old one would."""
    many = 10_000
    """Number of stored trials that it must support."""
    learns = True
    """Whether its proposals improve within sixty trials."""

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

    def test_the_same_seed_gives_the_same_trials(self) -> None:
        one, two, other = self.study(1), self.study(1), self.study(2)
        for study in (one, two, other):
            study.optimize(conditional, n_trials=40)
        params = [[t.params for t in study.trials] for study in (one, two, other)]
        assert params[0] == params[1]
        assert params[0] != params[2]

    def test_maximizes_and_minimizes(self) -> None:
        best = self.study()
        best.optimize(conditional, n_trials=60)
        assert best.best_value > 1.0
        least = self.study(direction="minimize")
        least.optimize(conditional, n_trials=60)
        # The value of a single choice: a sampler that models only parameters of all trials may stay there.
        assert least.best_value <= 0.0
        if self.learns:
            assert later_mean(least) < later_mean(best)

    def test_copes_with_failed_pruned_and_empty_trials(self) -> None:
        study = self.study()
        for i in range(60):
            trial = study.ask()
            if i % 4 == 0:
                study.tell(trial, 0.1)  # without parameters
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

    def test_copes_with_many_parallel_trials(self) -> None:
        study = self.study()
        for count in (6, 6, 70, 6):
            asked = [(trial, conditional(trial)) for trial in (study.ask() for _ in range(count))]
            for trial, value in reversed(asked):
                study.tell(trial, value)
        assert len(study.trials) == 88

    def test_an_enqueued_trial_keeps_its_values(self) -> None:
        study = self.study()
        study.enqueue_trial({"kind": "bowl", "x": 1.25, "bonus": 4})
        trial = study.ask()
        assert conditional(trial) == pytest.approx(2 - 1.25**2 + 0.4)

    def test_supports_every_kind_of_domain(self) -> None:
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

    @pytest.mark.filterwarnings("ignore:The value nan:UserWarning")
    def test_copes_with_nothing_but_failures(self) -> None:
        study = self.study()
        for i in range(30):
            trial = study.ask()
            conditional(trial)
            if i % 3 == 0:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # before its first report
            else:
                study.tell(trial, float("nan") if i % 3 == 1 else None, state=None if i % 3 == 1 else FAIL)
        assert len(study.trials) == 30

    def test_repeats_candidates_of_an_exhausted_space(self) -> None:
        def only(trial: optuna.Trial) -> float:
            return trial.suggest_int("one", 3, 3) + 0.5 * trial.suggest_categorical("two", [0, 1])

        study = self.study()
        study.optimize(only, n_trials=30)
        assert {t.params["one"] for t in study.trials} == {3}
        assert study.best_value == 3.5

    def test_supports_a_space_with_one_candidate(self) -> None:
        study = self.study()
        study.optimize(lambda trial: float(trial.suggest_categorical("only", [7])), n_trials=20)
        assert [t.params for t in study.trials] == [{"only": 7}] * 20

    @pytest.mark.filterwarnings("ignore::RuntimeWarning:optuna")
    def test_supports_a_space_wider_than_float_precision(self) -> None:
        def wide(trial: optuna.Trial) -> float:
            whole = trial.suggest_int("whole", 0, 2**62)
            assert 0 <= whole <= 2**62 and type(whole) is int
            tiny = trial.suggest_float("tiny", 1e-300, 1e300, log=True)
            assert 1e-300 <= tiny <= 1e300
            return whole / 2**62 + sum(trial.suggest_categorical(f"gene{i}", "abcd") == "a" for i in range(60))

        study = self.study()
        study.optimize(wide, n_trials=30)
        assert len(study.trials) == 30

    def test_resumes_a_stored_study(self, tmp_path: Path) -> None:
        def stored(name: str) -> optuna.Study:
            journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / name))
            storage = optuna.storages.JournalStorage(journal)
            return optuna.create_study(
                storage=storage, study_name="s", sampler=type(self).make(3), direction="maximize", load_if_exists=True
            )

        whole = stored("whole")
        whole.optimize(conditional, n_trials=24)
        for _ in range(2):
            stored("parts").optimize(conditional, n_trials=12)
        parts = stored("parts")
        assert len(parts.trials) == 24
        if self.resumes_exactly:
            assert [t.params for t in parts.trials] == [t.params for t in whole.trials]

    def test_copes_with_many_stored_trials(self) -> None:
        study = self.study()
        study.add_trials(stored_trials(self.many))
        for _ in range(2):
            trial = study.ask(MIXED)
            study.tell(trial, trial.params["number"] - trial.params["fraction"])
        assert len(study.trials) == self.many + 2

    def test_supports_several_objectives_or_fails_with_one_line(self) -> None:
        study = optuna.create_study(sampler=type(self).make(0), directions=["maximize", "minimize"])
        try:
            study.optimize(lambda trial: (conditional(trial), float(len(trial.params))), n_trials=15)
        except (ValueError, UserError) as error:
            assert str(error) and "\n" not in str(error)
        else:
            assert study.best_trials
