"""The final ranking as plain text of at most 80 columns, with the next commands."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.components import has_own_components
from nas.controller.naive_baselines import unbeaten_baselines
from nas.errors import UserError
from nas.report.facts import Agreement, Winner, agreements, find_winner, read_importance, read_trials, scored_on
from nas.report.front import front_text, read_front
from nas.report.numbers import (
    count,
    finite,
    relative_folder,
    score,
    score_with_interval,
    storage_without_password,
    tie_text,
)
from nas.runs.settings import UNLIMITED, Settings

if TYPE_CHECKING:
    import pandas as pd

    from nas.insight.effects import Importance
    from nas.runs.run import Run

__all__ = ["files", "next_commands", "ranking_text", "unbeaten_text"]

WIDTH = 80

HEADS = ("rank", "name", "mIoU ± 95 %", "tie", "seeds", "search", "final", "params", "s/training")

FILES = (
    ("best.safetensors", "the winner: weights, recipe, classes, scores"),
    ("ranking.csv", "this table"),
    ("report.html", "figures, failures, all trials"),
    ("study.db", "the Optuna study"),
    ("data.json", "how the images were read"),
    ("search.log", "log of the search"),
)


def ranking_text(table: pd.DataFrame, run: Run) -> str:
    """Format the ranking, its winner, Kendall's tau of the rungs, the parameter importance, files and next commands.

    Args:
        table: the ranking, from `nas.controller.ranking.rank` or `Run.ranking`.
        run: the run of that ranking.
    """
    trials = read_trials(run)
    parts = [
        f"Ranking by mIoU on the {scored_on(run)} split, mean over seeds:",
        _table(table),
        _winner(find_winner(table, run, trials), run.settings.holdout) if len(table) else "",
        front_text(front) if (front := read_front(run)) else "",
        _agreement(agreements(trials)),
        _importance(read_importance(run)),
        _files(run),
        "Next:\n" + "\n".join(_command(words) for words in next_commands(run)),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(table: pd.DataFrame) -> str:
    rows = [HEADS, *(_row(rank, row) for rank, row in zip(table.index, table.to_dict("records"), strict=True))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADS))]
    lines = ["  ".join(_cell(i, cell, widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]
    if table["tie"].any():
        lines += ["", f"= {tie_text(table)}"]
    for row in table.to_dict("records"):
        error = row.get("error")
        if isinstance(error, str) and error:
            lines += _wrap(f"{row['name']}: a training failed: {error.splitlines()[0]}")
    return "\n".join(lines)


def _row(rank: object, row: dict) -> tuple[str, ...]:
    seconds = finite(row["seconds"])
    return (
        str(rank),
        _start(str(row["name"]), 16),
        score_with_interval(row["miou"], row["interval"]),
        "=" if row["tie"] else "",
        str(row["seeds"]),
        score(row["search_miou"]),
        score(row.get("final_miou")),
        count(row["params"]),
        "-" if seconds is None else f"{seconds:.1f}",
    )


def _cell(column: int, cell: str, width: int) -> str:
    left = HEADS[column] in ("name", "mIoU ± 95 %", "tie")
    return cell.ljust(width) if left else cell.rjust(width)


def _winner(winner: Winner, holdout: bool) -> str:
    lines = [f"Winner: {winner.name}"]
    if winner.test_miou is not None:
        lines[0] += (
            f", mIoU {score(winner.test_miou)} on the test split" + ", which was not used for selection" * holdout
        )
    lines = _wrap(lines[0])
    if winner.reason:
        lines += _wrap(f"  {winner.reason}")
    if winner.problem:
        lines += _wrap(f"Its test score is unknown: {winner.problem}")
    for name, content in winner.recipe:
        lines += _wrap(f"  {name}: {content}", "      ")
    return "\n".join(lines)


def unbeaten_text(table: pd.DataFrame) -> str:
    """Warn about naive baselines that the winner does not beat; empty if it beats all."""
    found = unbeaten_baselines(table)
    if not found:
        return ""
    more = "Train longer (--steps, --max-time), label more images, or check the masks with nas-doctor."
    return "\n".join(_wrap(f"The winner is not worth using yet: {'; '.join(found)}. {more}", ""))


def _agreement(found: Sequence[Agreement]) -> str:
    if not found:
        return ""
    lines = _wrap("Kendall's tau between the order at a rung and the final order (1: the same order):")
    return "\n".join(lines + [f"  step {a.rung}: {a.tau:.2f} over {a.trials} trials" for a in found])


def _importance(found: Importance | None) -> str:
    """Format the most important parameters and pairs in at most ten lines; the page has more."""
    if found is None:
        return ""
    if found.reason:
        return "\n".join(_wrap(f"Parameter importance is not available: {found.reason}."))
    lines = _wrap(f"Parameter importance (a model explains {found.explained:.0%} of the variance of unseen scores):")
    if found.effects:
        lines.append(f"  share ± error {'parameter':29}  {'best value':18}  gain in sd")
    pairs = found.interactions[:2]
    lines += [
        f"   {effect.share:4.0%} ± {effect.share_error:3.0%}   {_end(effect.path, 29)}  {_end(effect.best, 18)}  "
        f"{effect.gain:+.2f} ± {effect.gain_error:.2f}"
        for effect in found.effects[: 8 - 2 * len(pairs)]
    ]
    for pair in pairs:
        # Long sentences are cut here; the page has them in full.
        line = f"   {pair.share:4.0%} ± {pair.share_error:3.0%}   {pair.sentence}"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 19, max_lines=2, break_on_hyphens=False)
    if not found.effects and not found.interactions:
        lines.append("  no parameter and no pair has a share of 1 % or more")
    return "\n".join(lines)


def _start(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."


def _end(path: str, width: int) -> str:
    """Shorten a path to its end, which says more than its start."""
    return path.ljust(width) if len(path) <= width else "..." + path[3 - width :]


def files(run: Run) -> list[tuple[str, str]]:
    """Return the existing files of a run with a description of each."""
    return [(name, what) for name, what in FILES if (run.folder / name).exists()]


def _files(run: Run) -> str:
    there = files(run)
    width = max((len(name) for name, _ in there), default=0)
    lines = _wrap(f"Files in {relative_folder(run)}:")
    return "\n".join(lines + [f"  {name.ljust(width)}  {what}" for name, what in there])


def next_commands(run: Run) -> list[list[str]]:
    """Return the commands that a user may want next, each as a list of words."""
    folder = relative_folder(run)
    best = str(folder / "best.safetensors")
    space = ["--space", str(folder / "space.py")] if _needs_space(run) else []
    return [
        ["nas-evaluate", best, *space],
        ["nas-predict", best, "PHOTO.jpg", "--out", "overlays/", *space],
        ["nas-export", str(folder), "--format", "onnx", *space],
        ["optuna-dashboard", storage_without_password(run)],
        ["nas-search", "--resume", str(folder), *_more(run.settings)],
    ]


def _more(settings: Settings) -> list[str]:
    """Return the options that extend a search."""
    if settings.budget == UNLIMITED:
        return ["--max-time", "1h"]
    return ["--budget", str(2 * settings.budget)]


def _needs_space(run: Run) -> bool:
    """Return whether reading a checkpoint of the run requires its space file."""
    try:
        return has_own_components(run.space())
    except UserError:
        return False


def _command(words: Sequence[str]) -> str:
    """Format a command for copying, with backslashes at line breaks."""
    lines = ["  " + words[0]]
    for word in map(shlex.quote, words[1:]):
        # Two columns are left for the backslash.
        if len(lines[-1]) + 1 + len(word) <= WIDTH - 2:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append("      " + word)
    return "\n".join(lines)


def _wrap(line: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
