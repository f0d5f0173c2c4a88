"""nas-report: write the report of a run as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT

__all__ = ["command", "main"]


@click.command(context_settings=CONTEXT)
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Page to write.  [RUN/report.html]")
def command(folder: Path, out: Path | None) -> None:
    """Write RUN/report.html again, or FILE, and print its path.

    RUN is a run's folder, such as runs/multitask-1. A search may still be running; the page then shows its results so
    far. The page needs no network and can be sent to others. The run's own copy of its space file is executed, since
    it may define components.
    """
    from nas.report import write_report
    from nas.runs.run import Run

    click.echo(write_report(Run(folder), out))


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-report`."""
    run(command, args)


if __name__ == "__main__":
    main()
