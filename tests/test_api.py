"""The Python interface: signatures, runs, and the checks before any image is loaded."""

from __future__ import annotations

import inspect
import io
import logging
import pydoc
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pandas as pd
import pytest
from tqdm import tqdm

import nas
from nas import api
from nas.components import has_own_components
from nas.controller.search import Search
from nas.errors import UserError
from nas.files import lock
from nas.logs import log_to_terminal
from nas.runs.run import Run
from nas.runs.settings import Settings
from nas.space import load_space
from tests.shell import Shell


def test_the_signature_names_every_setting_with_its_default() -> None:
    shown = inspect.signature(nas.search)
    assert shown == inspect.signature(api.search)
    named = {n: p.default for n, p in shown.parameters.items() if p.kind is p.KEYWORD_ONLY and n != "name"}
    # A run keeps its study's name beside the settings; without a budget or a limit on time it is that of `Settings`.
    kept = {f.name: f.default for f in fields(Settings) if f.name not in ("space", "study")}
    assert named == {**kept, "budget": None}
    assert list(shown.parameters)[:2] == ["space", "name"]


@pytest.mark.parametrize("function", [api.search, api.resume, nas.pretrain])
def test_every_argument_is_documented_in_the_order_of_the_signature(function: Callable[..., Any]) -> None:
    text = inspect.getdoc(function) or ""
    arguments = text.partition("Args:\n")[2].partition("\nRaises:")[0]
    assert re.findall(r"^    (\w+): \S", arguments, re.MULTILINE) == list(inspect.signature(function).parameters)


def test_help_begins_with_what_a_search_does() -> None:
    shown = pydoc.plain(pydoc.render_doc(nas.search))
    assert "function search in module nas.api" in shown
    assert shown.index("Search a space and return the finished run.") < shown.index("size: height and width in pixels")


def test_the_type_of_a_size_covers_all_ways_to_write_it() -> None:
    assert set(get_args(get_type_hints(api.search)["size"])) == {int, str, tuple[int, int], NoneType}


def test_resume_takes_the_settings_that_may_change() -> None:
    named = [n for n, p in inspect.signature(nas.resume).parameters.items() if p.default is None]
    assert sorted(named) == sorted(api.MAY_CHANGE)


def test_the_repr_of_a_run(tmp_path: Path) -> None:
    Settings(space="/spaces/small.py", budget=40, data="scenes").write(tmp_path)
    run = Run(tmp_path)
    assert repr(run) == f"<Run {tmp_path}: small.py on scenes, 40 candidates, not finished>"
    rows = {name: [0.0, 0.0] for name in ("interval", "seeds", "search_miou", "params", "macs", "seconds", "peak_mb")}
    first = {"name": ["trial 3", "unet"], "hash": ["a", "b"], "miou": [0.5, 0.4567], "error": ["", ""]}
    table = pd.DataFrame({**first, **rows, "tie": [False, True], "winner": [False, True]}, index=[1, 2])
    table.rename_axis("rank").to_csv(tmp_path / "ranking.csv")
    assert repr(run).endswith("40 candidates, winner unet (mIoU 0.457)>")


class ReachedError(Exception):
    """Raised in place of a search."""


def test_times_may_be_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reached: list[Any] = []

    def note(searching: Any) -> None:
        reached.append((searching.clock.limit, searching.run.settings.hang_after))
        raise ReachedError

    monkeypatch.setattr(Search, "execute", note)
    with pytest.raises(ReachedError):
        nas.search("unet.py", name="one", size=16, max_time="2m", hang_after="90s")
    for given in ("3m", 180):
        with pytest.raises(ReachedError):
            nas.resume("runs/one", max_time=given, hang_after="1m")
    assert reached == [(120.0, 90.0), (180.0, 60.0), (180.0, 60.0)]
    for call in (lambda: nas.search("unet.py", max_time="2"), lambda: nas.resume("runs/one", max_time="2")):
        with pytest.raises(UserError, match="'2' is not a time: write 90s, 45m or 2h"):
            call()


def refuse_to_load(settings: Settings, searched: bool = False) -> Any:
    pytest.fail("images were loaded")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "taken"}, "exists already"),
        ({"sampler": "magic"}, "--sampler magic"),
        ({"sampler": object()}, r"sampler <object .*>: give the name of one"),
        ({"stopping": "magic"}, "--stopping magic"),
        ({"storage": "sqlite:////nowhere/x.db"}, "cannot be opened"),
        ({"warm_start": "runs/none"}, "there is no such run"),
    ],
)
def test_settings_are_checked_before_any_image_is_loaded(
    shell: Shell, settings: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr(api, "load_images", refuse_to_load)
    (shell.folder / "runs" / "taken").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        nas.search("small.py", **settings)


def test_a_folder_that_cannot_be_written_is_refused_before_any_image_is_loaded(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shell.folder)
    monkeypatch.setattr(api, "load_images", refuse_to_load)
    monkeypatch.setattr("nas.runs.run.os.access", lambda path, mode: False)
    with pytest.raises(UserError, match="cannot be written, but the run becomes a folder in it"):
        nas.search("small.py")


def test_a_locked_run_is_refused_before_any_image_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "load_images", refuse_to_load)
    Settings(space="unet.py", steps=1).write(tmp_path)
    (tmp_path / "space.py").write_text("from nas.search_spaces.unet import space")
    with (tmp_path / "lock").open("w") as held:
        assert lock(held)
        with pytest.raises(UserError, match="is being searched by another process"):
            nas.resume(tmp_path)
    (tmp_path / "lock").unlink()
    (tmp_path / "lock").mkdir()  # a folder cannot be opened as a file
    with pytest.raises(UserError, match=r"cannot be written \(Is a directory\): copy the run"):
        nas.resume(tmp_path)


def test_log_lines_are_written_above_a_progress_bar() -> None:
    stream = io.StringIO()
    stop = log_to_terminal(stream)
    try:
        with tqdm(total=3, desc="images", file=stream, ncols=60) as bar:
            bar.refresh()
            logging.getLogger("nas").info("said meanwhile")
            bar.update()
    finally:
        stop()
    lines = stream.getvalue().split("\n")
    said = next(line for line in lines if "said meanwhile" in line)
    assert said.rpartition("\r")[2] == "said meanwhile"
    assert said.split("\r")[-2].strip() == ""  # the bar was wiped
    assert "images" in lines[lines.index(said) + 1]  # and drawn again


def test_own_components_are_distinguished_from_shipped_ones(shell: Shell) -> None:
    assert not has_own_components(load_space(shell.space))
    own = """
from dataclasses import dataclass, replace as replaced

@dataclass(frozen=True)
class OwnLoss(CrossEntropy):
    pass

mine = replaced(first, loss=OwnLoss())
"""
    (shell.folder / "own.py").write_text(shell.space.read_text() + own + "space = replaced(space, baselines=(mine,))")
    assert has_own_components(load_space(shell.folder / "own.py"))
    (shell.folder / "open.py").write_text(
        shell.space.read_text() + own + "space = replaced(space, loss=Choice(CrossEntropy(), OwnLoss()))"
    )
    assert has_own_components(load_space(shell.folder / "open.py"))
