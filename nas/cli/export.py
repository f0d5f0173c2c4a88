"""nas-export: a checkpoint, or a run's best one, as safetensors, ONNX or torch.export, with a model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from nas.cli.errors import run
from nas.cli.options import CONTEXT, space_option

__all__ = ["command", "main"]


@click.command(context_settings=CONTEXT)
@click.argument("checkpoint", metavar="RUN_OR_CHECKPOINT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["safetensors", "onnx", "pt2"]),
    help="What to write; by default what --out is named like, or safetensors.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File or folder to write; by default beside the checkpoint.",
)
@space_option
def command(checkpoint: Path, format_: str | None, out: Path | None, space: Path | None) -> None:
    """Export a checkpoint, or the best one of a run's folder, and write a model card beside it.

    safetensors is read back by nas.load and takes images of any size. onnx is checked with
    onnxruntime where that is installed. pt2 is torch.export's: it runs without this toolkit.
    """
    from nas.export import export

    exported = export(checkpoint, format_, out, space)
    click.echo(f"{exported.file} ({exported.file.stat().st_size / 1e6:.1f} MB)")
    click.echo(f"  {exported.note}")
    click.echo(f"{exported.card}: model card")


def main(args: Sequence[str] | None = None) -> None:
    """The entry point of `nas-export`."""
    run(command, args)


if __name__ == "__main__":
    main()
