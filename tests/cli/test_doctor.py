"""nas-doctor, as typed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.cli import estimate
from nas.cli.doctor import main
from nas.controller.timing import Pace


@pytest.fixture
def folder(data_folder: Path, tmp_path: Path) -> Path:
    """The session's small set without the class that no mask shows."""
    copy = tmp_path / "set"
    shutil.copytree(data_folder, copy)
    (copy / "classes.json").write_text(json.dumps(["ground", "block", "box"]))
    return copy


class Loaded(HTMLParser):
    """Tags of a page and the sources that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_healthy_set_ends_with_0_and_the_next_command(typed: Callable, folder: Path) -> None:
    ended = typed(main, "--data", f"folder:{folder}")
    assert ended.code == 0, ended.out
    assert "labelled 8, unlabelled 0, validation 4, test 3" in ended.out
    last = ended.out.strip().splitlines()[-1]
    assert last.startswith("Nothing is wrong.")
    assert last.endswith(f"nas-search --space multitask.py --data folder:{folder}")
    said = " ".join(ended.out.split())
    assert "Default search at 40x56, estimated from its baselines. A full training takes 400 steps, about " in said
    assert re.search(r"Expected from here: .* for 200 candidates \(search .*, ranking .*, final training .*\)", said)


def test_the_estimate_counts_folds_and_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3 folds, each trains 400 steps of .05 s and evaluates 3 times 3 of the 9 images, at 1 s an image."""
    monkeypatch.setattr(estimate, "_pace", lambda candidate, data, evaluated, device: Pace(0.05, evaluated, 500.0))
    said = estimate.expected_time((16, 16), None, 2, 9, 9, 3)
    assert said.startswith("A full training takes 400 steps on each of 3 folds, about 87.0 s.")
    apart = estimate.expected_time((16, 16), None, 2, 9, 9, 0)
    assert apart.startswith("A full training takes 400 steps, about 47.0 s.")


def test_findings_end_with_1_and_errors_come_first(typed: Callable, folder: Path) -> None:
    (folder / "images" / "train" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "images" / "train" / "3.png").write_bytes(b"")
    ended = typed(main, "--data", f"folder:{folder}", "--labels", "4")
    assert ended.code == 1
    assert 0 < ended.out.index("\nerror") < ended.out.index("\nwarning")
    assert "3.png is an empty file" in " ".join(ended.out.split())
    assert ended.out.strip().splitlines()[-1].startswith("1 error and 1 warning.")
    assert "--labels 4" in ended.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--data", "folder:/nowhere"), "there is no /nowhere"),
        (("--data", "scenes"), "drawn by a program"),
        (("--data", "zoo:/tmp"), "there is no kind"),
        ((), "--data"),
    ],
)
def test_bad_input_ends_with_2_in_one_line(typed: Callable, args, said: str) -> None:
    ended = typed(main, *args)
    assert ended.code == 2
    assert said in ended.err and ended.err.count("\n") == 1


def test_the_page_is_self_contained_and_escapes_names(typed: Callable, folder: Path, tmp_path: Path) -> None:
    (folder / "classes.json").write_text(json.dumps(["ground", "<script>alert(1)</script>", "box"]))
    out = tmp_path / "doctor"
    ended = typed(main, "--data", f"folder:{folder}", "--out", out)
    assert ended.code == 0, ended.out
    text = (out / "doctor.html").read_text()
    page = Loaded(text)
    assert page.sources and all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "script" not in page.tags and "&lt;script&gt;" in text
    pictures = sorted((out / "overlays").glob("*.png"))
    assert len(pictures) == len(page.sources) == 20
    shown = np.asarray(Image.open(out / "overlays" / "train_0.png"))
    assert shown.shape == (40, 112, 3)
    # On the left the image itself, on the right the same under its mask.
    image = np.asarray(Image.open(folder / "images" / "train" / "0.png"))
    assert (shown[:, :56] == image).all() and (shown[:, 56:] != image).any()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from nas.cli.doctor import command\n"
        "command.main(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'cv2', 'PIL', 'scipy', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
