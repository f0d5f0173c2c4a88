"""nas-doctor: what is wrong with a data set, said in seconds, before hours are spent on it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT, ImageSize

if TYPE_CHECKING:
    from nas.tasks.data.doctor import Examined, Finding

__all__ = ["command", "main"]


@click.command(context_settings=CONTEXT)
@click.option("--data", required=True, metavar="KIND:PATH", help="camvid, cityscapes, voc, ade20k, gta5 or folder.")
@click.option("--labels", help="Labelled images: all, 1/8, 46 or FILE.txt, as for nas-search.")
@click.option("--unlabelled", metavar="KIND:PATH", help="Another set to learn from without labels: examined too.")
@click.option("--size", type=ImageSize(), metavar="HxW", help="Working size to judge by.  [a suggested one]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for a page with overlays of images and masks.")
def command(
    data: str, labels: str | None, unlabelled: str | None, size: tuple[int, int] | None, out: Path | None
) -> int:
    """Say what a data set holds and what is wrong with it, within seconds.

    \b
    nas-doctor --data folder:PATH
    nas-doctor --data folder:PATH --labels 40 --out doctor/

    Exit code 0 if nothing is wrong, 1 if something is, 2 if there is no such data set. Nothing is changed.
    """
    from nas.tasks.data.doctor import examine, examine_two, findings
    from nas.tasks.data.doctor.text import class_table, closing, facts, facts_text, findings_text

    shown = sys.stderr.isatty()
    examined = (
        examine_two(data, unlabelled, labels, size, shown) if unlabelled else (examine(data, labels, size, shown),)
    )
    wrong: list[Finding] = []
    sets: list[tuple[Examined, list[Finding], list[tuple[str, str]]]] = []
    for seen in examined:
        rows, found = facts(seen), findings(seen)
        click.echo(
            "\n\n".join(filter(None, [seen.members.spec, facts_text(rows), class_table(seen), findings_text(found)]))
            + "\n"
        )
        wrong += found
        sets.append((seen, found, rows))
    first = sets[0][0]
    working = size or first.suggested
    command = _next(data, labels, unlabelled, size)
    if out is not None:
        for number, (seen, found, rows) in enumerate(sets):
            folder = out if number == 0 else out / "unlabelled"
            click.echo(f"Page: {_page(seen, found, rows, command, folder)}")
    if working is not None and first.splits:
        click.echo(facts_text([("time", _estimate(first, working, size is None))]) + "\n")
    click.echo(closing(wrong, command))
    return int(any(finding.severity != "note" for finding in wrong))


def _page(seen: Examined, found: list[Finding], rows: list[tuple[str, str]], command: str, out: Path) -> Path:
    from nas.export.overlays import overlay
    from nas.tasks.data.doctor.page import write_page

    return write_page(seen, found, rows, command, out, overlay)


def _estimate(seen: Examined, size: tuple[int, int], suggested: bool) -> str:
    """How long a default search takes, which compares candidates on smaller images where the size is open."""
    from nas.cli.estimate import expected_time
    from nas.pool.devices import visible_gpus
    from nas.tasks.data.working_size import affordable, searched_pixels

    labelled = len(seen.splits["labelled"])
    ranked = labelled if seen.folds else len(seen.splits.get("validation", ()))
    pixels = searched_pixels("cuda" if visible_gpus() else "cpu", size[0] * size[1])
    small = affordable(size, pixels) if suggested else size
    expected = expected_time(
        size, None if small == size else small, len(seen.members.classes), labelled, ranked, seen.folds
    )
    at = f"{small[0]}x{small[1]}" + (f", the winner at {size[0]}x{size[1]}" if small != size else "")
    return f"Default search at {at}, estimated from its baselines. {expected}"


def _next(data: str, labels: str | None, unlabelled: str | None, size: tuple[int, int] | None) -> str:
    """The search to type after this."""
    words = ["nas-search", "--space", "multitask.py", "--data", data]
    words += ["--labels", labels] if labels else []
    words += ["--unlabelled", unlabelled] if unlabelled else []
    words += ["--size", f"{size[0]}x{size[1]}"] if size else []
    return shlex.join(words)


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-doctor`."""
    run(command, args)


if __name__ == "__main__":
    main()
