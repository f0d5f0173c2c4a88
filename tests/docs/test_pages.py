"""The pages of the documentation: links, options and names in them exist, and what they list is complete."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nas
from nas.samplers import SAMPLERS
from nas.space import load_space, size
from nas.stopping import STOPPING
from nas.tasks.data.kinds import KINDS

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
]
COMMANDS = ("search", "pretrain", "doctor", "predict", "evaluate", "export", "report")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert text.count("](") == len(links)
    for link in links:
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def options(command: str) -> set[str]:
    """The options of a command."""
    found = importlib.import_module(f"nas.cli.{command}").command
    return {option for parameter in found.params for option in parameter.opts} | {"--version", "--help"}


def mentioned(text: str) -> Iterator[tuple[str, str]]:
    """Each option beside its command, on one line."""
    for command, rest in re.findall(rf"nas-({'|'.join(COMMANDS)})\b([^\n`#]*)", text):
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest):
            yield command, option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for command, option in mentioned(text):
        assert option in options(command), f"nas-{command} {option}"
    if page.stem == "CHANGELOG":  # it also names options of benchmarks
        return
    known = set.union(*map(options, COMMANDS))
    for option in re.findall(r"`(--[a-z][a-z-]*)[ `]", text):
        assert option in known, option


def test_every_option_of_a_list_is_documented() -> None:
    searching = (ROOT / "docs" / "searching.md").read_text()
    assert [name for name in (*SAMPLERS, *STOPPING) if f"`{name}`" not in searching] == []
    public = (ROOT / "docs" / "public-sets.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}:PATH`" not in public] == []


@pytest.mark.parametrize("page", ["README.md", "docs/search-spaces.md"])
def test_every_component_is_documented(page: str) -> None:
    text = (ROOT / page).read_text()
    protocols = {"Block", "Decoder", "DecoderNet", "MakeNorm", "Encoder", "Norms", "Stage"}
    components = {*nas._HOMES["nas.tasks"], *nas._HOMES["nas.models"]} - protocols
    assert [name for name in sorted(components) if f"`{name}`" not in text] == []


def test_example_of_a_space_can_be_searched(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "search-spaces.md").read_text()
    path = tmp_path / "mine.py"
    path.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    assert size(load_space(path)).discrete > 100


def test_shipped_spaces_are_documented() -> None:
    text = (ROOT / "docs" / "search-spaces.md").read_text()
    for path in (ROOT / "search_spaces").glob("**/[a-z]*.py"):
        assert f"`{path.name}`" in text, path
    baselines = load_space(ROOT / "search_spaces" / "multitask.py").baseline_names
    assert ", ".join(f"`{name}`" for name in baselines) in text
