"""Loading space files: a faulty file gets one line that says where the fault is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.space import SpaceError, check, describe, draw, genes_of, load_space, locate, size
from nas.tasks import methods

GOOD = """
from dataclasses import dataclass
from nas.space import Choice, Component, Recipe

@dataclass(frozen=True)
class SpaceFilePart(Component):
    width: int = 1

part = SpaceFilePart()
space = Recipe(
    encoder=SpaceFilePart(width=Choice(1, 2)),
    decoder=part, loss=part, method=part, optimizer=part, schedule=part, augment=part,
)
"""


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_may_define_its_own_parts_and_be_loaded_twice(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert [p.path for p in check(load_space(path))] == ["encoder.width"]
    assert size(load_space(path)).discrete == 2


def test_baselines_have_the_names_of_their_variables(tmp_path: Path) -> None:
    text = (
        "from dataclasses import replace\nplain = replace(space, encoder=part)\nother = replace(plain, norm='layer')\n"
    )
    space = "space = replace(space, baselines=(other, plain, replace(plain, norm='group')))\n"
    (tmp_path / "named.py").write_text(GOOD + text + space)
    loaded = load_space(tmp_path / "named.py")
    assert loaded.baseline_names == ("other", "plain", "")
    assert [loaded.baseline_name(i) for i in range(3)] == ["other", "plain", "baseline 2"]
    assert loaded.candidate().baseline_names == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "mine.py defines no space"),
        ("space = 3", "mine.py defines no space"),
        ("space = (", r"mine.py:1: SyntaxError"),
        ("import os\nspace = undefined", "mine.py:2: NameError"),
        ("from nas import NotThere", "mine.py:1: "),
        (GOOD.replace("loss=part, ", ""), r"mine.py: loss is not set"),
        (GOOD.replace("loss=part, ", "loss='dice', "), r"mine.py: loss is 'dice': give a component"),
        (GOOD.replace("loss=part, ", "loss=Choice(part, 'dice'), "), r"mine.py: loss is 'dice': give a component"),
        (
            GOOD.replace("loss=part, ", "loss=Int(1, 3), ").replace("import Ch", "import Int, Ch"),
            r"mine.py: loss is Int\(1, 3\): give a component",
        ),
        (GOOD.replace("loss=part, ", "loss=part, pretext=('x',), "), r"mine.py: pretext holds 'x': give components"),
        (GOOD.replace("Choice(1, 2)", "'8'"), r"mine.py: encoder\.width \(SpaceFilePart\.width\) is '8': give a whole"),
        (
            GOOD.replace("loss=part, ", "loss=part, pretext=Mix('x'), ").replace("import Ch", "import Mix, Ch"),
            r"mine.py: pretext is a Mix of 'x': give components",
        ),
        (GOOD.replace("Choice(1, 2)", "Choice()"), r"mine.py: encoder\.width is an empty Choice"),
        (
            GOOD + "from dataclasses import replace\nspace = replace(space, baselines=(space,))",
            r"baselines\.0 is not a",
        ),
    ],
)
def test_a_faulty_file_gets_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as error:
        load_space(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_missing_file_names_the_shipped_ones() -> None:
    with pytest.raises(
        SpaceError, match=r"nonsense.py: there is no such file; shipped spaces: .*multitask\.py.*presets/deeplabv2\.py"
    ):
        load_space("nonsense.py")


NAMES = ("multitask.py", "semi_supervised.py", "architectures.py", "pretext.py", "pretrained.py", "unet.py")


@pytest.mark.parametrize("name", NAMES)
def test_shipped_spaces_are_usable(name: str) -> None:
    import random

    space = load_space(name)
    text = describe(space)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count(" = ") >= len(check(space))
    for baseline in space.baselines:
        genes = locate(space, baseline)
        assert genes is None or set(genes) <= {p.path for p in check(space)}
    candidate, _ = genes_of(space, draw(random.Random(0)))
    assert candidate.encoder


def test_spaces_that_search_methods_offer_all_of_them() -> None:
    for name in ("multitask.py", "semi_supervised.py"):
        options = {type(option).__name__ for option in load_space(name).method.options}
        assert options == set(methods.__all__)


@pytest.mark.parametrize("name", ["multitask.py", "semi_supervised.py"])
def test_baselines_are_points_of_their_space(name: str) -> None:
    space = load_space(name)
    assert all(locate(space, baseline) is not None for baseline in space.baselines)
