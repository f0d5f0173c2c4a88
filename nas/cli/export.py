"""nas-export: export a checkpoint as safetensors, ONNX or torch.export, with a model card."""

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
    help="Format to write; by default that of --out's suffix, or safetensors.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File or folder to write; by default beside the checkpoint.",
)
@space_option
def command(checkpoint: Path, format_: str | None, out: Path | None, space: Path | None) -> None:
    """Export a checkpoint, or the best one of a run's folder, and write a model card beside it.

    A safetensors file is read by nas.load and takes images of any size. An onnx file is
    checked with onnxruntime if that is installed. A pt2 file, of torch.export, runs without
    this toolkit.
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
