"""Zero-cost screening: which of the drawn candidates are tried, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import optuna
import pytest

from nas import Choice, Float, Recipe, cost
from nas.controller.screening import most_promising, queue_promising
from nas.runs.run import Run
from nas.search_spaces.unet import space as unet
from nas.space import close, from_genes, load_space
from tests.shell import SHORT, Shell


def costs(candidate: Recipe) -> dict[str, Any]:
    found = cost(candidate, (16, 24), 9)
    return {"params": found.params, "macs": found.macs}


def stages(*widths: int) -> Any:
    return replace(unet.encoder, stages=tuple(replace(unet.encoder.stages[0], width=w) for w in widths))


def test_the_most_promising_are_those_of_the_highest_mean_rank_in_size() -> None:
    found = [{"params": 5, "macs": 1}, {"params": 1, "macs": 2}, {"params": 5, "macs": 9}, {"params": 7, "macs": 7}]
    assert most_promising(found, 2) == [2, 3]  # places 1 + 3, 2 + 2; the earlier first where they tie
    assert most_promising(found, 4)[-1] == 1
    assert most_promising([], 1) == []


def queued(space: Recipe, count: int, seed: int = 0) -> tuple[list[Recipe], tuple[int, int]]:
    study = optuna.create_study()
    counts = queue_promising(study, space, count, costs, seed)
    waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    genes = [trial.system_attrs["fixed_params"] for trial in waiting]
    return [close(space, from_genes(found)).candidate() for found in genes], counts


@pytest.mark.slow
def test_a_tenth_of_the_drawn_candidates_is_queued_the_largest_first_within_the_constraints() -> None:
    widths = Choice(*(stages(*(base * 2**i for i in range(3))) for base in (2, 4, 6, 8, 10, 12)))
    space = replace(unet, encoder=widths, optimizer=replace(unet.optimizer, lr=Float(1e-4, 1e-2, log=True)))
    limit = costs(replace(unet, encoder=stages(9, 18, 36)))["params"]
    tried, counts = queued(space.where(lambda c: cost(c, (16, 24), 3).params < limit), 40)
    sizes = [costs(candidate)["params"] for candidate in tried]
    assert counts == (40, 4) and len(tried) == 4
    assert all(size < limit for size in sizes)
    assert (
        sizes == sorted(sizes, reverse=True) and sizes[0] == costs(replace(unet, encoder=stages(8, 16, 32)))["params"]
    )
    assert len({candidate.optimizer.lr for candidate in tried}) == 4
    assert tried == queued(space.where(lambda c: cost(c, (16, 24), 3).params < limit), 40)[0]
    assert tried != queued(space, 40, seed=1)[0]


def test_a_space_with_fewer_candidates_than_wanted_gives_all_it_has() -> None:
    space = replace(unet, encoder=stages(4, 8), norm=Choice("batch", "group"))
    assert queued(space, 50)[1] == (2, 1)
    assert queued(space.where(lambda c: False), 50)[1] == (0, 0)


@pytest.mark.slow
def test_a_search_tries_them_after_the_baselines(shell: Shell) -> None:
    options = ("--space", "small.py", "--budget", "6", "--screen", "30", "--name", "one", *SHORT)
    ended = shell.run("search", *options)
    assert ended.returncode == 0, ended.stderr
    assert "Of 30 candidates drawn, the 3 most promising are tried first." in ended.stdout
    study = optuna.create_study()
    queue_promising(study, load_space(shell.space), 30, costs, seed=0)
    wanted = [trial.system_attrs["fixed_params"] for trial in study.get_trials()]
    tried = Run(shell.folder / "runs" / "one").study().get_trials(deepcopy=False)
    assert [trial.params for trial in tried[1:4]] == wanted
    assert "fixed_params" not in tried[4].system_attrs


def test_a_bad_number_is_refused_in_one_line(shell: Shell) -> None:
    ended = shell.run("search", "--space", "small.py", "--screen", "0", *SHORT)
    assert ended.returncode == 2 and "--screen 0: give 1 or more" in ended.stderr and "Traceback" not in ended.stderr
