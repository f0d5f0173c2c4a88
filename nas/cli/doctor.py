"""nas-doctor: examine a data set and report what is wrong with it, within seconds."""

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
@click.option("--unlabelled", metavar="KIND:PATH", help="Another set of unlabelled images, examined too.")
@click.option("--size", type=ImageSize(), metavar="HxW", help="Size at which images would be used.  [a suggested one]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for a page with overlays of images and masks.")
def command(
    data: str, labels: str | None, unlabelled: str | None, size: tuple[int, int] | None, out: Path | None
) -> int:
    """Report what a data set holds and what is wrong with it, within seconds.

    \b
    nas-doctor --data folder:PATH
    nas-doctor --data folder:PATH --labels 40 --out doctor/

    Exit code 0 if nothing is wrong, 1 if something is, 2 if there is no such data set. Nothing is changed.
    """
    from nas.tasks.data.doctor import examine, examine_two, findings
    from nas.tasks.data.doctor.text import class_table, closing, facts, facts_text, findings_text

    shown = sys.stderr.isatty()
    sets = examine_two(data, unlabelled, labels, size, shown) if unlabelled else (examine(data, labels, size, shown),)
    rows = [facts(examined) for examined in sets]
    found = [findings(examined) for examined in sets]
    for examined, its_rows, its_findings in zip(sets, rows, found, strict=True):
        texts = [examined.members.spec, facts_text(its_rows), class_table(examined), findings_text(its_findings)]
        click.echo("\n\n".join(filter(None, texts)) + "\n")
    command = _search_command(data, labels, unlabelled, size)
    if out is not None:
        folders = (out, out / "unlabelled")
        for examined, its_findings, its_rows, folder in zip(sets, found, rows, folders, strict=False):
            click.echo(f"Page: {_page(examined, its_findings, its_rows, command, folder)}")
    working = size or sets[0].suggested
    if working is not None and sets[0].splits:
        click.echo(facts_text([("time", _estimate(sets[0], working, size is None))]) + "\n")
    everything = [finding for its_findings in found for finding in its_findings]
    click.echo(closing(everything, command))
    return int(any(finding.severity != "note" for finding in everything))


def _page(examined: Examined, found: list[Finding], rows: list[tuple[str, str]], command: str, folder: Path) -> Path:
    from nas.export.overlays import overlay
    from nas.tasks.data.doctor.page import write_page

    return write_page(examined, found, rows, command, folder, overlay)


def _estimate(examined: Examined, size: tuple[int, int], suggested: bool) -> str:
    """Estimate the time of a default search. With a suggested size it compares candidates on smaller images."""
    from nas.cli.estimate import expected_time
    from nas.pool.devices import visible_gpus
    from nas.tasks.data.working_size import affordable, searched_pixels

    labelled = len(examined.splits["labelled"])
    ranked = labelled if examined.folds else len(examined.splits.get("validation", ()))
    pixels = searched_pixels("cuda" if visible_gpus() else "cpu", size[0] * size[1])
    small = affordable(size, pixels) if suggested else size
    expected = expected_time(
        size, None if small == size else small, len(examined.members.classes), labelled, ranked, examined.folds
    )
    at = f"{small[0]}x{small[1]}" + (f", the winner at {size[0]}x{size[1]}" if small != size else "")
    return f"Default search at {at}, estimated from its baselines. {expected}"


def _search_command(data: str, labels: str | None, unlabelled: str | None, size: tuple[int, int] | None) -> str:
    """The nas-search command for this data."""
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
