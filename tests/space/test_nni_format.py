"""The space in NNI's format: NNI reads it, and candidates that NNI draws close the space."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from nas.cli.search import command
from nas.space import Choice, Float, Int, Recipe, check, close, from_genes, load_space, parameters, space_to_nni


@pytest.mark.parametrize("name", ["multitask.py", "semi_supervised.py", "pretext.py"])
def test_nni_draws_candidates_of_a_shipped_space(name: str) -> None:
    tuner_of = pytest.importorskip("nni.algorithms.hpo.random_tuner").RandomTuner
    space = load_space(name)
    described = space_to_nni(space)
    assert json.loads(json.dumps(described)) == described
    assert described.keys() == {parameter.path for parameter in check(space)}
    tuner = tuner_of(seed=0)
    tuner.update_search_space(described)
    domains = {parameter.path: parameter.domain for parameter in parameters(space)}
    for number in range(20):
        drawn = tuner.generate_parameters(number)
        whole = {path: int(v) if isinstance(domains[path], Int) else v for path, v in drawn.items()}
        close(space, from_genes(whole))


def test_numbers_keep_their_scale_and_steps() -> None:
    space = Recipe(
        encoder=Choice("a", None),
        decoder=Float(1e-3, 1.0, log=True),
        norm=Float(0.0, 1.0, step=0.25),
        clip=Int(2, 2),
        ema=Int(1, 9),
    )
    assert space_to_nni(space) == {
        "encoder": {"_type": "choice", "_value": ["a", None]},
        "decoder": {"_type": "loguniform", "_value": [1e-3, 1.0]},
        "norm": {"_type": "quniform", "_value": [0.0, 1.0, 0.25]},
        "clip": {"_type": "choice", "_value": [2]},
        "ema": {"_type": "quniform", "_value": [1, 9, 1]},
    }


def test_grids_off_zero_are_listed_because_nni_counts_steps_from_zero() -> None:
    space = Recipe(encoder=Int(1, 9, step=2), decoder=Float(0.1, 0.9, step=0.4))
    assert space_to_nni(space) == {
        "encoder": {"_type": "choice", "_value": [1, 3, 5, 7, 9]},
        "decoder": {"_type": "choice", "_value": [0.1, pytest.approx(0.5), pytest.approx(0.9)]},
    }


def test_the_command_line_prints_nni_format() -> None:
    printed = CliRunner().invoke(command, ["--space", "pretext.py", "--describe", "--format", "nni"])
    assert printed.exit_code == 0
    assert json.loads(printed.output)["pretext.Jigsaw"] == {"_type": "choice", "_value": [False, True]}
