"""Write a run as one self-contained HTML page with figures, tables and failures."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files import replacing
from nas.report import figures
from nas.report.drawing import Drawn, draw, draw_all, plotly_script
from nas.report.facts import TrialFacts, agreements, find_winner, read_importance, read_table, read_trials, scored_on
from nas.report.front import figures as front_figures
from nas.report.front import format_value, read_front
from nas.report.numbers import count, duration, finite, score, score_with_interval, tie_text
from nas.report.text import next_commands
from nas.runs.data_record import read_data_record
from nas.runs.settings import UNLIMITED, Settings

if TYPE_CHECKING:
    import pandas as pd

    from nas.insight.effects import Effect, Importance, Interaction
    from nas.runs.run import Run

__all__ = ["write_report"]


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write the page of a finished or unfinished run and return its path.

    Args:
        out: the file, or a folder for `report.html`; None for the run's folder.

    Raises:
        UserError: when the study or the ranking cannot be read, or the page cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": score, "recipe": _recipe}
    text = environment.get_template("report.html").render(_content(run))
    path = out or run.folder
    path = path / "report.html" if path.is_dir() else path
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        what = "give another --out FILE" if out else "give --out FILE"
        raise UserError(f"{path} cannot be written ({error.strerror}): {what}") from error
    return path


def _content(run: Run) -> dict[str, Any]:
    """Return the variables of the template `report.html`."""
    trials = read_trials(run)
    table = read_table(run)
    data, warnings = read_data_record(run.folder)
    drawn, choices, front = _figures(trials), draw_all(figures.choices(trials)), _front(run)
    return {
        "title": f"Search {run.folder.resolve().name}",
        "plotly": plotly_script() if drawn or choices or front["front"] else "",
        "facts": _facts(run, trials),
        "holdout": run.settings.holdout,
        **_ranking(run, table),
        **_winner(run, table, trials),
        **front,
        "figures": drawn,
        "choices": choices,
        **_importance(read_importance(run)),
        "agreements": [[a.rung, f"{a.tau:.2f}", a.trials] for a in agreements(trials)],
        "data": data,
        "data_warnings": warnings,
        "failures": [t for t in trials if t.outcome in ("failed", "lost")],
        "trials": [_trial_row(t) for t in trials],
        "commands": "\n".join(map(shlex.join, next_commands(run))),
    }


def _facts(run: Run, trials: Sequence[TrialFacts]) -> dict[str, str]:
    settings = run.settings
    ended = Counter(t.outcome for t in trials)
    return {
        "Space": Path(settings.space).name,
        "Data": ", ".join(
            filter(None, [settings.data, settings.labels and f"labels {settings.labels}", *_sizes(settings)])
        ),
        "Budget": _budget(sum(t.costs_budget for t in trials), settings.budget),
        "Outcomes": ", ".join(f"{n} {how}" for how, n in ended.most_common()) or "none yet",
        "Search": f"{settings.sampler}, {settings.steps} steps a full training, seed {settings.seed}",
        "Time": _time(trials),
    }


def _sizes(settings: Settings) -> list[str]:
    """Return the size of the images, and the smaller one at which candidates are compared if there is one."""
    sizes = [(settings.size, "{} x {} pixels"), (settings.search_size, "candidates compared at {} x {}")]
    return [text.format(*size) for size, text in sizes if size]


def _budget(used: int, budget: int) -> str:
    return f"{used} candidates, limited by time" if budget == UNLIMITED else f"{used} of {budget} candidates used"


def _time(trials: Sequence[TrialFacts]) -> str:
    """Return the start and the total training time. A run may be interrupted, so its end says little."""
    started = [t.started for t in trials if t.started]
    if not started:
        return ""
    trained = sum(t.seconds or 0 for t in trials)
    return f"started {min(started):%Y-%m-%d %H:%M}; {duration(trained)} of training, summed over all workers"


def _ranking(run: Run, table: pd.DataFrame | None) -> dict[str, Any]:
    if table is None:
        return {"ranking": None}
    rows = zip(table.index, table.to_dict("records"), strict=True)
    return {
        "ranking": [_ranking_row(rank, row) for rank, row in rows],
        "split": scored_on(run),
        "tie": tie_text(table) if table["tie"].any() else "",
    }


def _ranking_row(rank: object, row: dict) -> list[Any]:
    return [
        rank,
        row["name"],
        score_with_interval(row["miou"], row["interval"]),
        "tie" if row["tie"] else "",
        row["seeds"],
        score(row["search_miou"]),
        score(row.get("final_miou")),
        score(row.get("test_miou")),
        count(row["params"]),
        count(row["macs"]),
        duration(row["seconds"]),
        _memory(row["peak_mb"]),
        row["error"] if isinstance(row.get("error"), str) else "",
    ]


def _memory(megabytes: Any) -> str:
    number = finite(megabytes)
    return "-" if number is None else f"{number:.0f} MB"


def _winner(run: Run, table: pd.DataFrame | None, trials: Sequence[TrialFacts]) -> dict[str, Any]:
    if table is None:
        return {"winner": None}
    winner = find_winner(table, run, trials)
    return {"winner": winner, "iou_by_class": [[name, score(value)] for name, value in winner.test_iou]}


def _front(run: Run) -> dict[str, Any]:
    front = read_front(run)
    if front is None:
        return {"front": None}
    return {
        "front": front,
        "front_figures": draw_all(front_figures(run, front), "{name} of the scores in the search (one seed)."),
        "front_columns": [("name", ""), *((name, "number") for name in front.objectives)],
        "front_rows": [[name, *map(format_value, front.objectives, values)] for name, values in front.rows],
    }


def _figures(trials: Sequence[TrialFacts]) -> list[Drawn]:
    drawn = [
        (
            "History",
            figures.history(trials),
            "Score of each trial. Pruned trials show their last score; trials without a score are at the bottom.",
        ),
        ("Rungs", figures.rungs(trials), "Score by optimizer step, one line per trial."),
        (
            "Score against size",
            figures.tradeoff(trials),
            "Trials trained in full. Hover over one, or tap it, to see its recipe.",
        ),
    ]
    return [draw(name, figure, caption) for name, figure, caption in drawn if figure is not None]


def _importance(found: Importance | None) -> dict[str, Any]:
    if found is None:
        return {"importance": None}
    effects, interactions = found.effects[:10], found.interactions[:5]
    return {
        "importance": found,
        "effects": [[e.path, _share(e), e.best, f"{e.gain:+.2f} ± {e.gain_error:.2f}"] for e in effects],
        "interactions": [[_share(pair), pair.sentence] for pair in interactions],
    }


def _share(found: Effect | Interaction) -> str:
    return f"{found.share:.1%} ± {found.share_error:.1%}"


def _trial_row(trial: TrialFacts) -> list[Any]:
    return [
        trial.number if trial.baseline is None else f"{trial.number}, {trial.name}",
        trial.outcome,
        score(trial.score),
        count(trial.params),
        duration(trial.seconds),
        (trial.reason if trial.score is None else "") or _recipe(trial.recipe),
    ]


def _recipe(parts: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {content}" for name, content in parts)
