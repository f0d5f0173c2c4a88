"""Local modules of a space file: found only by that space, kept apart from those of other spaces, all listed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from nas.space import Component, SpaceError, load_space
from nas.space.local_modules import MODULES, find_local_module, imported_modules

HEAD = """
from dataclasses import dataclass
from nas.space import Choice, Component, Recipe
"""
SPACE = """
part = Part()
space = Recipe(encoder=Part(width=WIDTH), decoder=part, loss=part, method=part, optimizer=part, schedule=part,
               augment=part)
"""
PART = """
from dataclasses import dataclass
from nas.space import Component

@dataclass(frozen=True)
class Part(Component):
    width: int = 1
"""


def write(folder: Path, **files: str) -> Path:
    """Write files, given by their names without .py; return the path of mine.py."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "mine.py"


def mine(imports: str) -> str:
    return HEAD + imports + SPACE


@pytest.mark.parametrize(
    ("imports", "files"),
    [
        ("from part import Part, WIDTH", {"part": PART + "WIDTH = 7"}),
        ("from part import *", {"part": PART + "WIDTH = 7"}),
        ("from .part import Part, WIDTH", {"part": PART + "WIDTH = 7"}),
        ("from . import part as p\nPart, WIDTH = p.Part, p.WIDTH", {"part": PART + "WIDTH = 7"}),
        (
            "import part\nPart, WIDTH = part.Part, part.WIDTH",
            {"part": PART + "from width import WIDTH", "width": "WIDTH = 7"},
        ),
        ("import a.part\nPart, WIDTH = a.part.Part, a.part.WIDTH", {"a/__init__": "", "a/part": PART + "WIDTH = 7"}),
        ("from a import part\nPart, WIDTH = part.Part, part.WIDTH", {"a/part": PART + "WIDTH = 7"}),
        (
            "from a import Part, WIDTH",
            {"a/__init__": "from .part import Part\nfrom .b.c import WIDTH", "a/part": PART, "a/b/c": "WIDTH = 7"},
        ),
        (
            "from a.b import Part, WIDTH",
            {"a/b": "from ..part import Part\nfrom width import WIDTH", "part": PART, "width": "WIDTH = 7"},
        ),
    ],
)
def test_modules_and_packages_beside_are_imported_and_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, imports: str, files: dict[str, str]
) -> None:
    path = write(tmp_path, mine=mine(imports), unused="1 / 0", **files)
    before = list(sys.path)
    assert load_space(path).encoder.width == 7
    assert sys.path == before and not {"part", "width", "a"} & sys.modules.keys()
    assert imported_modules(path).keys() == {f"{name}.py" for name in files}
    assert not list(tmp_path.rglob("__pycache__"))
    # From a copy such as a run keeps, in another folder.
    run = tmp_path / "elsewhere"
    (run / MODULES).mkdir(parents=True)
    for name, file in imported_modules(path).items():
        (run / MODULES / name).parent.mkdir(parents=True, exist_ok=True)
        (run / MODULES / name).write_bytes(file.read_bytes())
    (run / "space.py").write_bytes(path.read_bytes())
    monkeypatch.chdir("/")
    for file in tmp_path.glob("*.py"):
        file.unlink()
    assert load_space(run / "space.py").encoder.width == 7


def test_two_spaces_have_separate_helpers_also_in_late_imports(tmp_path: Path) -> None:
    lazy = "def width():\n    from width import WIDTH\n    return WIDTH\n"
    spaces = {}
    for width in (3, 5):
        folder = tmp_path / str(width)
        path = write(
            folder,
            mine=mine("from helpers import Part, width\nWIDTH = width()"),
            helpers=PART + lazy,
            width=f"WIDTH = {width}",
        )
        assert imported_modules(path).keys() == {"helpers.py", "width.py"}
        spaces[width] = load_space(path)
    for width, space in spaces.items():
        assert space.encoder.width == width
        late = sys.modules[type(space.encoder).__module__].width
        assert late() == width
    # Recipes are read with the components of the space that was loaded last.
    assert Component.types["Part"] is type(spaces[5].encoder)


def test_a_changed_helper_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, mine=mine("from part import Part, WIDTH"), part=PART + "WIDTH = 3")
    assert load_space(path).encoder.width == 3
    stat = (tmp_path / "part.py").stat()
    write(tmp_path, part=PART + "WIDTH = 5")
    os.utime(tmp_path / "part.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load_space(path).encoder.width == 5
    write(tmp_path, mine=mine(PART + "WIDTH = 9"))
    assert load_space(path).encoder.width == 9


def test_a_local_module_never_replaces_one_of_python_or_the_toolkit(tmp_path: Path) -> None:
    code = "from tasks import TASK\nfrom torch import TORCH\nimport random, nas\nfrom nas import CrossEntropy\n"
    names = {"tasks": "TASK = 1", "torch": "TORCH = 1", "random": "1 / 0", "nas": "1 / 0", "cv2": "1 / 0"}
    path = write(tmp_path, mine=mine(PART + code + "WIDTH = 7"), **names)
    assert load_space(path).encoder.width == 7
    assert imported_modules(path).keys() == {"tasks.py", "torch.py"}
    import torch

    from nas import tasks

    assert "CrossEntropy" in vars(tasks) and torch.ones(1) == 1
    assert sys.modules["random"] is random


def test_a_folder_without_modules_is_not_a_package(tmp_path: Path) -> None:
    for name in ("torch", "results"):
        (tmp_path / name).mkdir()
    write(tmp_path, **{"torch/tools": ""})
    assert find_local_module(tmp_path, "torch") is None and find_local_module(tmp_path, "results") is None
    root = Path(__file__).parents[2]
    assert [find_local_module(root, name) for name in ("nas", "random")] == [None] * 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mine": "from part import Part"}, r"mine.py:1: ModuleNotFoundError: No module named 'part'"),
        ({"mine": "import part", "part": "\nx = 1 / 0"}, r"part.py:2: ZeroDivisionError"),
        ({"mine": "import part", "part": "\n\nx = ("}, r"part.py:3: SyntaxError"),
        ({"mine": "from part import nothing", "part": ""}, r"mine.py:1: ImportError: .*'nothing' from 'part'"),
        ({"mine": "from profile import WIDTHS", "profile": ""}, "profile.py beside it is not read, because Python has"),
        ({"mine": "import part", "part": "import sys\nsys.exit()"}, r"part.py:2: SystemExit: .*must not call sys.exit"),
        (
            {"mine": "from part import Part\n" + PART, "part": PART},
            None,  # the same class, written twice
        ),
        (
            {"mine": "from part import Part\n" + PART.replace("= 1", "= 2"), "part": PART},
            r"two components are called Part \(.*part.py and .*mine.py\): rename one",
        ),
        (
            {"mine": PART.replace("Part", "Plain")},
            r"two components are called Plain \(nas.models.blocks and .*mine.py\)",
        ),
    ],
)
def test_errors_take_one_line_and_name_the_place(tmp_path: Path, files: dict[str, str], message: str | None) -> None:
    import nas.models  # noqa: F401

    path = write(tmp_path, **files)
    with pytest.raises(SpaceError, match=message or "defines no space") as error:
        load_space(path)
    assert "\n" not in str(error.value) and "nas_space_" not in str(error.value)


def test_a_script_may_be_its_own_space_and_import_what_the_space_imports(tmp_path: Path) -> None:
    script = HEAD + "from part import Part, WIDTH\n" + PART.replace("Part", "Own") + SPACE
    script += "if __name__ == '__main__':\n    import nas\n    print(nas.load_space(__file__).encoder.width)\n"
    path = write(tmp_path, mine=script, part=PART + "WIDTH = 7")
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("7\n", "")
