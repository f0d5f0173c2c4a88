"""The final ranking as plain text of at most 80 columns, with what to do next."""

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
from nas.report.numbers import cannot_tell, count, finite, score, score_with_interval, shown_folder, shown_storage
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
    ("report.html", "figures, failures, every trial"),
    ("study.db", "the Optuna study"),
    ("data.json", "what was understood of the images"),
    ("search.log", "what happened when"),
)


def ranking_text(table: pd.DataFrame, run: Run) -> str:
    """The final table, its winner, how far rungs can be trusted, what mattered, the files and the next commands.

    Args:
        table: as `nas.controller.ranking.rank` gives it, or as `Run.ranking` reads it back.
        run: the run it belongs to.
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
        lines += ["", f"= {cannot_tell(table)}"]
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
        lines[0] += f", mIoU {score(winner.test_miou)} on the test split" + ", which chooses nothing" * holdout
    lines = _wrap(lines[0])
    if winner.reason:
        lines += _wrap(f"  {winner.reason}")
    if winner.problem:
        lines += _wrap(f"Its test score is unknown: {winner.problem}")
    for name, content in winner.recipe:
        lines += _wrap(f"  {name}: {content}", "      ")
    return "\n".join(lines)


def unbeaten_text(table: pd.DataFrame) -> str:
    """What needs no training and is as good as the winner, empty where nothing is."""
    found = unbeaten_baselines(table)
    if not found:
        return ""
    more = "Train longer (--steps, --max-time), label more images, or check the masks with nas-doctor."
    return "\n".join(_wrap(f"The winner is not worth using yet: {'; '.join(found)}. {more}", ""))


def _agreement(found: Sequence[Agreement]) -> str:
    if not found:
        return ""
    lines = _wrap("Kendall's tau between the order at a rung and the final one (1: the same order):")
    return "\n".join(lines + [f"  step {a.rung}: {a.tau:.2f} over {a.trials} trials" for a in found])


def _importance(found: Importance | None) -> str:
    """At most ten lines on the strongest parameters and pairs; the page has more of them."""
    if found is None:
        return ""
    if found.reason:
        return "\n".join(_wrap(f"What mattered cannot be told: {found.reason}."))
    lines = _wrap(f"What mattered (a model explains {found.explained:.0%} of the score's variance in unseen trials):")
    if found.effects:
        lines.append(f"  share ± error {'parameter':29}  {'best value':18}  gain in sd")
    pairs = found.interactions[:2]
    lines += [
        f"   {effect.share:4.0%} ± {effect.share_error:3.0%}   {_end(effect.path, 29)}  {_end(effect.best, 18)}  "
        f"{effect.gain:+.2f} ± {effect.gain_error:.2f}"
        for effect in found.effects[: 8 - 2 * len(pairs)]
    ]
    for pair in pairs:
        # What long paths leave no room for is in the page.
        line = f"   {pair.share:4.0%} ± {pair.share_error:3.0%}   {pair.sentence}"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 19, max_lines=2, break_on_hyphens=False)
    if not found.effects and not found.interactions:
        lines.append("  no parameter by itself, and no two together")
    return "\n".join(lines)


def _start(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."


def _end(path: str, width: int) -> str:
    """The end of a path that is too long, which tells more than its start."""
    return path.ljust(width) if len(path) <= width else "..." + path[3 - width :]


def files(run: Run) -> list[tuple[str, str]]:
    """The run's files that are there, and what each holds."""
    return [(name, what) for name, what in FILES if (run.folder / name).exists()]


def _files(run: Run) -> str:
    there = files(run)
    width = max((len(name) for name, _ in there), default=0)
    lines = _wrap(f"Files in {shown_folder(run)}:")
    return "\n".join(lines + [f"  {name.ljust(width)}  {what}" for name, what in there])


def next_commands(run: Run) -> list[list[str]]:
    """What one would type next, each as its words."""
    folder = shown_folder(run)
    best = str(folder / "best.safetensors")
    space = ["--space", str(folder / "space.py")] if _needs_space(run) else []
    return [
        ["nas-evaluate", best, *space],
        ["nas-predict", best, "PHOTO.jpg", "--out", "overlays/", *space],
        ["nas-export", str(folder), "--format", "onnx", *space],
        ["optuna-dashboard", shown_storage(run)],
        ["nas-search", "--resume", str(folder), *_more(run.settings)],
    ]


def _more(settings: Settings) -> list[str]:
    """The flags that extend a search."""
    if settings.budget == UNLIMITED:
        return ["--max-time", "1h"]
    return ["--budget", str(2 * settings.budget)]


def _needs_space(run: Run) -> bool:
    """Whether a checkpoint of the run can be read with its space file only."""
    try:
        return has_own_components(run.space())
    except UserError:
        return False


def _command(words: Sequence[str]) -> str:
    """A command that can be copied: broken with backslashes, as shells allow, where it is too long."""
    lines = ["  " + words[0]]
    for word in map(shlex.quote, words[1:]):
        # Two columns are kept for the backslash.
        if len(lines[-1]) + 1 + len(word) <= WIDTH - 2:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append("      " + word)
    return "\n".join(lines)


def _wrap(line: str, indent: str = "  ") -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
