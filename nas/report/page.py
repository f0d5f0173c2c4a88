"""A run as one self-contained HTML page: figures, tables and failures, with nothing fetched from a network."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.files import replacing
from nas.report import figures
from nas.report.facts import TrialFacts, agreements, find_winner, read_importance, read_table, read_trials, scored_on
from nas.report.front import figures as front_figures
from nas.report.front import read_front, shown
from nas.report.numbers import cannot_tell, count, duration, finite, score, score_with_interval
from nas.report.text import next_commands
from nas.runs.data_record import read_data_record
from nas.runs.settings import UNLIMITED

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from nas.insight.effects import Effect, Importance, Interaction
    from nas.runs.run import Run

__all__ = ["write_report"]

# The policy makes the browser itself hold the page to what it says: nothing is fetched.
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 62rem; margin: 0 auto; padding: 1rem; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.2rem; margin-top: 2.2rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid #ddd;
         white-space: nowrap; }}
td.number, th.number {{ text-align: right; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }}
dt {{ color: #555; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
figure {{ margin: 1rem 0; }}
figcaption {{ color: #555; }}
.choices {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 0 1.5rem; }}
.choices figure {{ min-width: 0; }}
pre {{ overflow-x: auto; background: #f5f5f5; padding: .6rem; font-size: .85rem; }}
summary {{ cursor: pointer; padding: .2rem 0; overflow-wrap: anywhere; }}
.recipe {{ font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }}
td.recipe {{ min-width: 20rem; white-space: normal; }}
</style>
"""

CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False}


def write_report(run: Run, out: Path | None = None) -> Path:
    """Write a run's page, whatever the run has reached, and return its path.

    Args:
        out: the file, or a folder for `report.html`; None for the run's folder.

    Raises:
        UserError: when the study or the ranking cannot be read, or the page cannot be written.
    """
    trials = read_trials(run)
    table = read_table(run)
    title = f"Search {run.folder.resolve().name}"
    drawn = [_front(run), _figures(trials), _choices(trials)]
    sections = [
        f"<h1>{escape(title)}</h1>",
        _header(run, trials),
        _ranking(table, scored_on(run)),
        _winner(table, run, trials),
        *drawn,
        _importance(read_importance(run)),
        _agreement(trials),
        _data(run),
        _failures(trials),
        _every_trial(trials),
        _next(run),
    ]
    path = out or run.folder
    path = path / "report.html" if path.is_dir() else path
    page = [HEAD.format(title=escape(title)), _script() if any(drawn) else "", "</head>\n<body>\n<main>"]
    page += [*filter(None, sections), "</main>\n</body>\n</html>\n"]
    try:
        with replacing(path) as temporary:
            temporary.write_text("\n".join(page), encoding="utf-8")
    except OSError as error:
        what = "give another --out FILE" if out else "give --out FILE"
        raise UserError(f"{path} cannot be written ({error.strerror}): {what}") from error
    return path


def _script() -> str:
    from plotly.offline import get_plotlyjs

    # Figures are drawn while the page is still being laid out: fit them once it has its final width.
    fit = 'addEventListener("load", () => dispatchEvent(new Event("resize")))'
    return f"<script>{get_plotlyjs()}</script>\n<script>{fit}</script>"


def _header(run: Run, trials: Sequence[TrialFacts]) -> str:
    settings = run.settings
    ended = Counter(t.outcome for t in trials)
    size = f"{settings.size[0]} x {settings.size[1]} pixels" if settings.size else ""
    facts = {
        "Space": Path(settings.space).name,
        "Data": ", ".join(filter(None, [settings.data, settings.labels and f"labels {settings.labels}", size])),
        "Budget": _budget(sum(t.spends for t in trials), settings.budget),
        "Outcomes": ", ".join(f"{n} {how}" for how, n in ended.most_common()) or "none yet",
        "Search": f"{settings.sampler}, {settings.steps} steps a full training, seed {settings.seed}",
        "Time": _time(trials),
    }
    return "<dl>" + "".join(f"<dt>{n}</dt><dd>{escape(v)}</dd>" for n, v in facts.items() if v) + "</dl>"


def _budget(used: int, budget: int) -> str:
    return f"{used} candidates, limited by time" if budget == UNLIMITED else f"{used} of {budget} candidates used"


def _data(run: Run) -> str:
    """What was understood of the images."""
    lines, warnings = read_data_record(run.folder)
    if not lines:
        return ""
    warned = [f"<strong>Warning:</strong> {escape(warning)}" for warning in warnings]
    return "<h2>Data</h2>\n<ul>" + "".join(f"<li>{line}</li>" for line in [*warned, *map(escape, lines)]) + "</ul>"


def _time(trials: Sequence[TrialFacts]) -> str:
    """When the search ran, and how long its trainings took together: a run may rest between sittings."""
    started = [t.started for t in trials if t.started]
    if not started:
        return ""
    trained = sum(t.seconds or 0 for t in trials)
    return f"begun {min(started):%Y-%m-%d %H:%M}; trainings took {duration(trained)} in all, counted one after another"


def _ranking(table: pd.DataFrame | None, split: str) -> str:
    if table is None:
        return "<h2>Ranking</h2>\n<p>There is none yet: the run has not reached its end.</p>"
    heads = [
        *("rank", "name", "mIoU ± 95 %", "tie", "seeds", "search", "final", "test"),
        *("params", "MACs", "a training", "memory", ""),
    ]
    rows = [
        [
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
        for rank, row in zip(table.index, table.to_dict("records"), strict=True)
    ]
    tie = ""
    if table["tie"].any():
        tie = f"A tie: {cannot_tell(table)}, by two standard errors of their difference, pooled over the table. "
    return (
        f"<h2>Ranking</h2>\n<p>mIoU on the {split} split, mean over seeds, with half its 95 % interval. "
        f"{tie}Under search is its score there, under final that of its longer, final training. Naive baselines, which "
        "need no training, stand beside the others: the most frequent class at each place, and for two classes Otsu's "
        "threshold.</p>\n" + _html_table("Ranking", heads, rows, numbers={0, *range(4, 12)}, recipe={12})
    )


def _memory(megabytes: Any) -> str:
    number = finite(megabytes)
    return "-" if number is None else f"{number:.0f} MB"


def _winner(table: pd.DataFrame | None, run: Run, trials: Sequence[TrialFacts]) -> str:
    if table is None:
        return ""
    winner = find_winner(table, run, trials)
    once = ", which is read once, at the end, and chooses nothing" if run.settings.holdout else ""
    told = (
        f"mIoU {score(winner.test_miou)} on the test split{once}."
        if winner.test_miou is not None
        else f"Its test score is unknown. {winner.problem}".strip()
    )
    recipe = "".join(f"<dt>{escape(n)}</dt><dd class='recipe'>{escape(v)}</dd>" for n, v in winner.recipe)
    why = f"It is {winner.reason}. " if winner.reason else ""
    parts = [
        f"<h2>Winner: {escape(winner.name)}</h2>\n<p>{escape(why + told)}</p>",
        f"<dl>{recipe}</dl>" if recipe else "",
    ]
    if winner.test_iou:
        rows = [[name, score(value)] for name, value in winner.test_iou]
        table_html = _html_table("Test IoU by class", ["class", "IoU"], rows, numbers={1})
        parts.append(f"<details><summary>Test IoU by class</summary>{table_html}</details>")
    return "\n".join(filter(None, parts))


def _front(run: Run) -> str:
    front = read_front(run)
    if front is None:
        return ""
    drawn = [
        _figure(name, figure, f"{name}: search scores of one seed.")
        for name, figure in front_figures(run, front).items()
    ]
    rows = [[name, *map(shown, front.objectives, values)] for name, values in front.rows]
    numbers = set(range(1, 1 + len(front.objectives)))
    table = _html_table("Front", ["name", *front.objectives], rows, numbers=numbers)
    said = f"None of these is beaten in everything. The front dominates {front.hypervolume:.3f} of the objectives' box."
    return "\n".join([f"<h2>Front</h2>\n<p>{said}</p>", *drawn, table])


def _figures(trials: Sequence[TrialFacts]) -> str:
    drawn = [
        (
            "History",
            figures.history(trials),
            "Score of each trial. Pruned ones have the score at which they were stopped; "
            "those without a score stand at the bottom.",
        ),
        ("Rungs", figures.rungs(trials), "Score as training goes on, a line a trial."),
        (
            "Score against size",
            figures.tradeoff(trials),
            "Trials trained in full. Point at one, or tap it, for its recipe.",
        ),
    ]
    return "\n".join(
        f"<h2>{name}</h2>\n{_figure(name, figure, caption)}" for name, figure, caption in drawn if figure is not None
    )


def _choices(trials: Sequence[TrialFacts]) -> str:
    drawn = figures.choices(trials)
    if not drawn:
        return ""
    inner = "\n".join(_figure(name, figure, name) for name, figure in drawn.items())
    return (
        "<h2>Choices</h2>\n<p>Scores by option: filled points and boxes were trained in full, hollow points were "
        "stopped early and so are lower than they might have been. Under each option: how many of its trials were "
        "trained in full. Options were not tried equally often nor in like company, so this describes the search and "
        f"proves no cause.</p>\n<div class='choices'>{inner}</div>"
    )


def _figure(name: str, figure: go.Figure, caption: str) -> str:
    import plotly.io

    # A fixed name makes the same run give the same page.
    anchor = "figure-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
    drawn = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        config=CONFIG,
        div_id=anchor,
        default_height=f"{figure.layout.height}px",
    )
    return f"<figure aria-label='{escape(name)}'>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _agreement(trials: Sequence[TrialFacts]) -> str:
    found = agreements(trials)
    if not found:
        return ""
    rows = [[a.rung, f"{a.tau:.2f}", a.trials] for a in found]
    return (
        "<h2>Can early scores be trusted?</h2>\n<p>Kendall's tau between the order at a rung and the final order, over "
        "trials trained in full: 1 is the same order, 0 no relation.</p>\n"
        + _html_table("Agreement of rungs", ["step", "tau", "trials"], rows, numbers={0, 1, 2})
    )


def _importance(found: Importance | None) -> str:
    if found is None:
        return ""
    head = "<h2>What mattered</h2>\n"
    if found.reason:
        return f"{head}<p>It cannot be told: {escape(found.reason)}.</p>"
    parts = [
        f"{head}<p>A model of {found.trials} scored trials explains {found.explained:.0%} of the score's variance, "
        "by ranks, in trials it has not seen. Shares are of the variance of what it predicts over the whole space; a "
        "parameter that not every candidate has is compared among those that have it. A gain is that of the best "
        "value over the others, in standard deviations of the score. After ± is a standard error.</p>"
    ]
    effects = [[e.path, _percent(e), e.best, f"{e.gain:+.2f} ± {e.gain_error:.2f}"] for e in found.effects[:10]]
    if effects:
        heads = ["parameter", "share", "best value", "gain"]
        parts.append(_html_table("What mattered", heads, effects, numbers={1, 3}, recipe={0}))
    pairs = [[_percent(pair), pair.sentence] for pair in found.interactions[:5]]
    if pairs:
        parts.append("<p>Two parameters together, beyond what each does:</p>")
        parts.append(_html_table("What mattered together", ["share", "what"], pairs, numbers={0}, recipe={1}))
    if not effects and not pairs:
        parts.append("<p>No parameter by itself, and no two together.</p>")
    return "\n".join(parts)


def _percent(found: Effect | Interaction) -> str:
    return f"{found.share:.1%} ± {found.share_error:.1%}"


def _failures(trials: Sequence[TrialFacts]) -> str:
    failed = [t for t in trials if t.outcome in ("failed", "lost")]
    if not failed:
        return ""
    inner = "\n".join(
        f"<details><summary>{escape(t.name)}, {t.outcome}: {escape(t.reason.split(chr(10))[0] or 'no reason given')}"
        f"</summary>{_recipe(t)}<pre>{escape(t.traceback or t.reason or 'no traceback')}</pre></details>"
        for t in failed
    )
    return f"<h2>Failures</h2>\n{inner}"


def _every_trial(trials: Sequence[TrialFacts]) -> str:
    if not trials:
        return ""
    heads = ["trial", "outcome", "mIoU", "params", "training", "recipe, or why there is no score"]
    rows = [
        [
            t.number if t.baseline is None else f"{t.number}, {t.name}",
            t.outcome,
            score(t.score),
            count(t.params),
            duration(t.seconds),
            (t.reason if t.score is None else "") or "; ".join(f"{n}: {v}" for n, v in t.recipe),
        ]
        for t in trials
    ]
    table = _html_table("Every trial", heads, rows, numbers={2, 3, 4}, recipe={5})
    return f"<h2>Every trial</h2>\n<details><summary>{len(trials)} trials</summary>{table}</details>"


def _recipe(trial: TrialFacts) -> str:
    inner = "; ".join(f"{name}: {content}" for name, content in trial.recipe)
    return f"<p class='recipe'>{escape(inner)}</p>" if inner else ""


def _next(run: Run) -> str:
    lines = "\n".join(shlex.join(words) for words in next_commands(run))
    return f"<h2>Next</h2>\n<pre>{escape(lines)}</pre>"


def _html_table(
    name: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    numbers: set[int],
    recipe: frozenset[int] | set[int] = frozenset(),
) -> str:
    """A table with everything in it escaped; it scrolls sideways by touch and by key where it is too wide."""
    kind = dict.fromkeys(numbers, " class='number'") | dict.fromkeys(recipe, " class='recipe'")
    head = "".join(f"<th scope='col'{kind.get(i, '')}>{escape(h)}</th>" for i, h in enumerate(heads))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind.get(i, '')}>{escape(str(c))}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll' role='region' aria-label='{escape(name)}' tabindex='0'>"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )
