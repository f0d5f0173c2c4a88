"""The report page: its content, that it is self-contained, and that text from outside is escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from nas.errors import UserError
from nas.insight.effects import Effect, Importance, Interaction
from nas.report import figures, write_report
from nas.report.facts import read_trials
from nas.runs.run import Run
from nas.space import Recipe
from tests.report.test_text import save_best

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Elements, their attributes and the text outside scripts; fails on tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(run: Run, table: pd.DataFrame) -> Page:
    table.drop(columns="values").to_csv(run.folder / "ranking.csv")
    return read(write_report(run))


def test_header_counts_outcomes_and_budget(page: Page) -> None:
    assert "4 complete, 1 pruned, 1 failed, 1 infeasible, 1 lost" in page.text
    # The constraint cost nothing and the lost trial is tried again.
    assert "6 of 20 candidates used" in page.text
    assert "small.py" in page.text and "scenes" in page.text


def test_header_has_both_sizes(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "sizes", size=(112, 176), search_size=(64, 96))
    assert "scenes, 112 x 176 pixels, candidates compared at 64 x 96" in read(write_report(run)).text


def test_ranking_is_in_the_page(page: Page) -> None:
    assert re.search(r"trial 2\s*0\.680 ± 0\.086", page.text)
    assert "Winner: trial 2" in page.text
    assert "LinkNet" in page.text
    assert "RuntimeError: no <luck>" in page.text


def test_failures_have_their_traceback(page: Page) -> None:
    assert "trial 5, failed: ValueError: <b>wide</b>" in page.text
    assert "File 'x.py', line 1" in page.text
    assert page.count("b") == 0


def test_page_fetches_nothing(page: Page) -> None:
    for tag, attrs in page.tags:
        assert not {"src", "href", "srcset", "data", "action"} & set(attrs), tag
    assert not {"link", "iframe", "img", "object"} & {tag for tag, _ in page.tags}
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None and "default-src 'none'" in policy and "http" not in policy


def test_plotly_is_in_the_page_once(page: Page) -> None:
    assert sum(len(script) > 1_000_000 for script in page.scripts) == 1
    drawn = sum("Plotly.newPlot(" in script for script in page.scripts if len(script) < 1_000_000)
    assert drawn == page.count("figure") == 7  # three, and norm, decoder, optimizer, denoising


def test_page_can_be_used_without_a_mouse_or_a_wide_screen(page: Page) -> None:
    tags = dict(page.tags)
    assert tags["html"] == {"lang": "en"}
    assert any(attrs.get("name") == "viewport" for tag, attrs in page.tags if tag == "meta")
    tables = page.count("table")
    assert sum(attrs.get("class") == "scroll" and attrs.get("tabindex") == "0" for _, attrs in page.tags) == tables
    assert page.count("figcaption") == page.count("figure")


def test_the_same_run_gives_the_same_page(run: Run, page: Page) -> None:
    before = (run.folder / "report.html").read_bytes()
    assert write_report(run).read_bytes() == before


def test_text_from_outside_stays_text(
    tmp_path: Path, start: Callable[..., Run], add_trial: Callable[..., None], candidates: list[Recipe]
) -> None:
    run = start(tmp_path / "evil", space=EVIL, data=EVIL)
    study = run.study()
    for norm in (EVIL, "batch"):
        odd = Recipe(candidates[0].encoder, candidates[0].decoder, norm=norm)
        add_trial(study, odd, "complete", {90: 0.5}, params=1000)
        add_trial(study, odd, "failed", {}, reason=EVIL, traceback=EVIL)
    page = read(write_report(run))
    assert page.count("img") == 0
    assert all("alert(1)" not in script or "newPlot" in script for script in page.scripts)
    assert page.text.count(EVIL) >= 4


def test_hover_text_is_escaped_for_plotly(
    tmp_path: Path, start: Callable[..., Run], add_trial: Callable[..., None], candidates: list[Recipe]
) -> None:
    run = start(tmp_path / "evil")
    odd = Recipe(candidates[0].encoder, candidates[0].decoder, norm="<a href='x'>")
    add_trial(run.study(), odd, "complete", {90: 0.5}, params=1000)
    figure = figures.tradeoff(read_trials(run))
    assert figure is not None
    (shown,) = figure.data[0].text
    assert "<a" not in shown and html.escape("<a href='x'>") in shown


def test_importance_is_in_the_page_if_the_search_computed_it(
    tmp_path: Path, start: Callable[..., Run], page: Page
) -> None:
    run = start(tmp_path / "importance")
    effects = tuple(Effect(f"gene{i}", 0.2 - 0.01 * i, 0.05, EVIL, 0.3, 0.1) for i in range(12))
    pairs = tuple(Interaction("a", "b", 0.05, 0.01, f"a=on helps with b=<{i}>") for i in range(7))
    run.study().set_user_attr("importance", Importance(0.42, 57, effects, pairs).to_data())
    found = read(write_report(run))
    assert "57 scored trials explains 42% of" in found.text
    assert re.search(r"gene0\s*20\.0% ± 5\.0%\s*" + re.escape(EVIL) + r"\s*\+0\.30 ± 0\.10", found.text)
    assert "gene9" in found.text and "gene10" not in found.text
    assert "a=on helps with b=<4>" in found.text and "b=<5>" not in found.text
    assert "Parameter importance" not in page.text
    few = Importance(None, 7, reason="7 scored trials are <too> few")
    run.study().set_user_attr("importance", few.to_data())
    assert "Not available: 7 scored trials are <too> few." in read(write_report(run)).text


def test_running_best_never_falls(run: Run) -> None:
    figure = figures.history(read_trials(run))
    assert figure is not None
    best = next(trace for trace in figure.data if trace.name == "best so far")
    assert list(best.y) == [0.50, 0.60, 0.70, 0.70, 0.70]
    assert list(best.x) == [0, 1, 2, 3, 7]


def test_rung_lines_are_separated_by_gaps(run: Run) -> None:
    figure = figures.rungs(read_trials(run))
    assert figure is not None
    complete = next(trace for trace in figure.data if trace.name == "complete")
    assert list(complete.x)[:8] == [10, 30, 90, None, 10, 30, 90, None]
    assert len(complete.x) == len(complete.y) == len(complete.text) == 16


def test_choices_split_the_trials(run: Run) -> None:
    found = figures.choices(read_trials(run))
    assert set(found) == {"norm", "decoder", "optimizer", "pretext Denoising"}
    boxes = {trace.y[0]: list(trace.x) for trace in found["norm"].data if trace.type == "box"}
    assert boxes == {"batch<br>3 of 4": [0.50, 0.70, 0.40], "switch<br>1 of 1": [0.60]}


def test_run_without_a_study(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "new")
    page = read(write_report(run))
    assert "Not available: the search has not finished" in page.text and "0 of 20" in page.text
    assert sorted(p.name for p in run.folder.iterdir()) == ["report.html", "settings.json"]


def test_run_with_one_trial_or_a_queued_one(
    tmp_path: Path, start: Callable[..., Run], add_trial: Callable[..., None], candidates: list[Recipe]
) -> None:
    run = start(tmp_path / "one")
    add_trial(run.study(), candidates[0], "complete", {90: 0.5}, params=1000, seconds=3.0)
    run.study().enqueue_trial({})
    page = read(write_report(run))
    assert "1 complete, 1 queued" in page.text
    assert page.count("figure") == 3


def test_run_whose_trials_all_failed(
    tmp_path: Path, start: Callable[..., Run], add_trial: Callable[..., None], candidates: list[Recipe]
) -> None:
    run = start(tmp_path / "failed")
    add_trial(run.study(), candidates[0], "failed", {}, reason="no luck", traceback="")
    page = read(write_report(run))
    assert "trial 0, failed: no luck" in page.text
    assert page.count("figure") == 1


def test_recipe_of_unknown_components(
    tmp_path: Path, start: Callable[..., Run], add_trial: Callable[..., None], candidates: list[Recipe]
) -> None:
    run = start(tmp_path / "odd")
    study = run.study()
    add_trial(study, candidates[0], "complete", {90: 0.5}, params=1000)
    trial = study.get_trials()[0]
    stored = json.loads(trial.user_attrs["candidate"])
    stored["recipe"]["decoder"] = {"type": "MineAlone", "width": 3}
    running = study.ask()
    running.set_user_attr("candidate", json.dumps(stored))
    assert "MineAlone" in read(write_report(run)).text


def test_unreadable_study_gives_one_line(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "broken")
    (run.folder / "study.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(UserError, match="cannot be read"):
        write_report(run)


def test_unreadable_ranking_gives_one_line(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "broken")
    (run.folder / "ranking.csv").write_text("")
    with pytest.raises(UserError, match=r"ranking\.csv cannot be read"):
        write_report(run)


def test_scores_without_a_holdout_are_of_the_test_split(
    tmp_path: Path, start: Callable[..., Run], table: pd.DataFrame, run: Run, candidates: list[Recipe]
) -> None:
    other = start(tmp_path / "papers", holdout=False)
    for each, said in ((run, "mIoU on the validation split"), (other, "mIoU on the test split")):
        table.to_csv(each.folder / "ranking.csv")
        save_best(each, candidates[2], 0.6543)
        page = " ".join(read(write_report(each)).text.split())
        assert said in page and "validation mIoU" not in page
        assert "0.654 on the test split" in page and ("not used for selection" in page) == (each is run)


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(4000)])
def test_damaged_study_gives_one_line(tmp_path: Path, start: Callable[..., Run], content: bytes) -> None:
    run = start(tmp_path / "torn")
    (run.folder / "study.db").write_bytes(content)
    with pytest.raises(UserError, match=r"its study cannot be read \(.*\): restore study.db from a copy"):
        write_report(run)


def test_storage_without_its_driver_gives_one_line(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "far", storage="postgresql+nonesuch://me@host/studies")
    with pytest.raises(UserError, match=r"its study cannot be read \(.*\): check postgresql"):
        write_report(run)


def test_empty_file_is_not_a_study(tmp_path: Path, start: Callable[..., Run]) -> None:
    run = start(tmp_path / "empty")
    (run.folder / "study.db").touch()
    assert "0 of 20" in read(write_report(run)).text
    assert (run.folder / "study.db").stat().st_size == 0
