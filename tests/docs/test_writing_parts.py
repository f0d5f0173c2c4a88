"""The examples of docs/writing-parts.md: each is a searchable space, and all of them train together in one run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import nas
from nas.controller.checks import check_builds
from nas.errors import UserError
from nas.report import write_report
from nas.runs.run import Run
from nas.space import load_space, size
from nas.tasks.data import load_data
from tests.shell import Shell

PAGE = Path(__file__).parents[2] / "docs" / "writing-parts.md"
BLOCKS = re.findall(r"^## (.*?)$|^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """The code below each heading, by the last word of the heading."""
    found, heading = {}, ""
    for title, code in BLOCKS:
        heading = title or heading
        if code:
            found[heading.split()[-1]] = code
    return found


EXAMPLES = examples()

TOGETHER = """
from dataclasses import replace
from block import Grouped
from decoder import Coarsest
from loss import Generalized
from task import Sharpening
from method import Entropy
from schedule import NAdam, Halving
from nas import Encoder, Stage
from nas.search_spaces.unet import space as unet

space = replace(
    unet, encoder=Encoder(stages=tuple(Stage(block=Grouped(), width=w) for w in (4, 8))), decoder=Coarsest(width=8),
    loss=Generalized(), pretext=(Sharpening(weight=0.5),), method=Entropy(), optimizer=NAdam(), schedule=Halving(),
    labelled_batch=2, unlabelled_batch=2,
)
"""


def test_each_part_has_a_short_example() -> None:
    assert EXAMPLES.keys() == {"block", "decoder", "loss", "task", "method", "schedule"}
    for name, code in EXAMPLES.items():
        assert len([line for line in code.splitlines() if line.strip()]) < 30, name


@pytest.fixture(scope="module")
def data() -> Any:
    return load_data("scenes", size=(16, 24))


@pytest.mark.parametrize("name", EXAMPLES)
def test_options_of_an_example_can_be_trained(tmp_path: Path, data: Any, name: str) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(EXAMPLES[name])
    space = load_space(path)
    assert size(space).discrete > 1
    check_builds(space, data)


@pytest.mark.parametrize("name", ["Loss", "PretextTask", "Method", "Optimizer", "Schedule", "Decoder"])
def test_protocols_are_public_and_documented(name: str) -> None:
    protocol = getattr(nas, name)
    methods = {k: v for k, v in vars(protocol).items() if callable(v) and not k.startswith("_")}
    assert methods and all(method.__doc__ for method in methods.values())
    assert get_type_hints(next(iter(methods.values())))


def test_run_of_all_examples_is_self_contained_in_folders_with_odd_names(tmp_path: Path) -> None:
    home = tmp_path / "photos? #1 100%25 & \u00e9{x}"
    (home / "spaces").mkdir(parents=True)
    for name, code in EXAMPLES.items():
        (home / "spaces" / f"{name}.py").write_text(code)
    (home / "spaces" / "mine.py").write_text(TOGETHER)
    tiny = ("--size", "16x24", "--steps", "3", "--best", "1", "--repeats", "1", "--workers", "1", "--budget", "1")
    ended = Shell(home, home).run("search", "--space", "spaces/mine.py", "--name", "a?b#c%41 & {0}", *tiny)
    assert ended.returncode == 0, ended.stderr
    run = home / "runs" / "a?b#c%41 & {0}"
    assert {path.name for path in (run / "space_modules").iterdir()} == {f"{name}.py" for name in EXAMPLES}
    assert [path.name for path in (home / "runs").iterdir()] == [run.name]
    assert sorted(path.name for path in home.iterdir()) == ["runs", "spaces"]

    # From another folder, without the originals.
    shutil.rmtree(home / "spaces")
    ended = Shell(tmp_path, tmp_path).run("search", "--resume", str(run), "--repeats", "2")
    assert ended.returncode == 0, ended.stderr
    assert Run(run).ranking.query("winner")["seeds"].tolist() == [2]
    assert len(Run(run).study().trials) >= 1
    assert "Coarsest" in write_report(Run(run)).read_text()
    network = nas.load(run, space=run / "space.py")
    assert type(network.decoder).__name__ == "CoarsestNet"

    (run / "space_modules" / "loss.py").write_text(EXAMPLES["loss"].replace("self.q = q", "self.q = q / 2"))
    with pytest.raises(UserError, match=r"space_modules/loss\.py is not part of the space this run began with"):
        nas.resume(run)
