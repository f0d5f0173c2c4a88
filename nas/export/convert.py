"""Export of checkpoints to safetensors, ONNX or torch.export, with a model card."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import UserError
from nas.export.card import model_card
from nas.export.checkpoint import Checkpoint, find_checkpoint, load_checkpoint
from nas.files import replacing
from nas.logs import only_errors
from nas.models import Network

__all__ = ["FORMATS", "Exported", "export"]

FORMATS = ("safetensors", "onnx", "pt2")

TOLERANCE = 1e-3
"""Largest difference between exported and original logits that is accepted, relative to the largest logit."""


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        file: the exported file.
        card: its model card.
        note: one line on accepted image sizes and how the export was checked.
    """

    file: Path
    card: Path
    note: str


def export(
    checkpoint: str | Path,
    format: str | None = None,
    out: str | Path | None = None,
    space: str | Path | None = None,
) -> Exported:
    """Export a checkpoint to a format and write its model card.

    Args:
        checkpoint: a checkpoint file, or the folder of a run for its best checkpoint.
        format: one of FORMATS; by default that of the suffix of `out`, or safetensors.
        out: a file, or a folder that exists or has no suffix; by default a file beside the checkpoint.
        space: the space file, needed only for networks with components that it defines.

    Raises:
        UserError: the checkpoint or format is unusable, the network cannot be exported, or the exported network
            computes other logits.
    """
    source = find_checkpoint(checkpoint)
    format = _format(format, out)
    target = _target(source, format, out)
    loaded = load_checkpoint(source, space)
    if format == "safetensors":
        note = _copy(loaded, source, target)
    elif format == "onnx":
        note = _onnx(loaded, target)
    else:
        note = _pt2(loaded, target)
    card = target.with_name(f"{target.name}.md")
    with replacing(card) as temporary:
        temporary.write_text(model_card(loaded, target.name, format), encoding="utf-8")
    return Exported(target, card, note)


def _format(format: str | None, out: str | Path | None) -> str:
    suffix = Path(out).suffix.lstrip(".") if out is not None else ""
    implied = suffix if suffix in FORMATS else None
    if format is None:
        if suffix not in ("", "md") and implied is None and not Path(str(out)).is_dir():
            raise UserError(f"{out}: use one of the suffixes .{', .'.join(FORMATS)}, or give --format")
        return implied or "safetensors"
    if format not in FORMATS:
        raise UserError(f"format {format!r} is unknown: use one of {', '.join(FORMATS)}")
    if implied not in (None, format):
        raise UserError(f"{out} has the suffix of {implied}, but the format is {format}: change one of them")
    return format


def _target(source: Path, format: str, out: str | Path | None) -> Path:
    name = f"{source.stem}.{format}"
    if out is None:
        return source.with_name(name)
    if Path(out).suffix == ".md":
        raise UserError(f"{out} has the suffix of the model card: give a name that ends in .{format}")
    return Path(out) / name if Path(out).is_dir() or not Path(out).suffix else Path(out)


def _copy(checkpoint: Checkpoint, source: Path, target: Path) -> str:
    if not (target.exists() and target.samefile(source)):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    return "images of any size"


def _onnx(checkpoint: Checkpoint, target: Path) -> str:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX export needs {' and '.join(missing)}: pip install 'fewlabel-nas[onnx]'")
    network, example = _traceable(checkpoint)
    with _quiet(), _one_line_errors(target, "ONNX"):
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(_description(checkpoint))
        with replacing(target) as temporary:
            program.save(temporary, external_data=False)
            note = _check_onnx(network, temporary, checkpoint.size)
    return f"{_fixed(checkpoint)}; {note}"


def _check_onnx(network: Network, file: Path, size: tuple[int, int]) -> str:
    if find_spec("onnxruntime") is None:
        return "not checked, because onnxruntime is not installed"
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    difference = 0.0
    for batch in (1, 3):
        images = _noise(batch, size)
        (logits,) = session.run(None, {"images": images.numpy()})
        difference = max(difference, _difference(network, images, torch.from_numpy(logits)))
    return f"onnxruntime's logits differ from torch's by at most {difference:.1e}"


def _pt2(checkpoint: Checkpoint, target: Path) -> str:
    network, example = _traceable(checkpoint)
    with _quiet(), _one_line_errors(target, "pt2"):
        program, sizes = _program(network, example)
        module = program.module()
        _difference(network, example, module(example))
        extra = {"metadata.json": json.dumps(_description(checkpoint))}
        with replacing(target) as temporary, temporary.open("wb") as stream:
            torch.export.save(program, stream, extra_files=extra)
    return sizes or _fixed(checkpoint)


def _program(network: Network, example: Tensor) -> tuple[torch.export.ExportedProgram, str | None]:
    """Export the network; return the program and the image sizes it accepts, None for only that of the example.

    Height and width are dynamic, as multiples of the network's largest stride, if its operations allow that.
    """
    batch = torch.export.Dim("batch", min=1)
    step = network.multiple
    if example.shape[2] % step == 0 and example.shape[3] % step == 0:
        rows, columns = (torch.export.Dim(name, min=2) for name in ("rows", "columns"))
        sides = {2: step * rows, 3: step * columns}
        # No two dimensions may be equal by chance, and none may be 1, because tracing would make them static.
        traced = _noise(2, (3 * step, 5 * step))
        try:
            program = torch.export.export(network, (traced,), dynamic_shapes=({0: batch, **sides},))
            _difference(network, example, program.module()(example))
            return program, f"images N x 3 x H x W with H and W multiples of {step}, from {2 * step} up"
        except Exception:
            # Some operations do not allow dynamic sizes. Export those networks at a fixed size below.
            logging.getLogger(__name__).debug("no dynamic sizes", exc_info=True)
    return torch.export.export(network, (example,), dynamic_shapes=({0: batch},)), None


def _traceable(checkpoint: Checkpoint) -> tuple[Network, Tensor]:
    """The network in the layout that exporters expect, and two example images; a batch of one would become static."""
    network = checkpoint.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network, _noise(2, checkpoint.size)


def _noise(batch: int, size: tuple[int, int]) -> Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(batch))


@torch.no_grad()
def _difference(network: Network, images: Tensor, logits: Tensor) -> float:
    """Compute the largest difference between exported and original logits.

    Raises:
        UserError: the difference exceeds TOLERANCE.
    """
    expected = network(images)
    # Equal infinities agree, but their difference is NaN.
    difference = (expected - logits).where(expected != logits, 0.0).abs().max().item()
    largest = expected.where(expected.isfinite(), 0.0).abs().max().item()
    if not difference <= TOLERANCE * max(1.0, largest):
        raise UserError(f"the exported network differs from the original by {difference:.2g}: it was not written")
    return difference


def _description(checkpoint: Checkpoint) -> dict[str, str]:
    """Metadata for programs that read the export, as text."""
    return {
        "task": "semantic segmentation",
        "input": "images: RGB float32 in [0, 1], N x 3 x H x W; normalized by the network",
        "size": json.dumps(checkpoint.size),
        "preprocessing": json.dumps(checkpoint.preprocessing.described()),
        "classes": json.dumps(checkpoint.classes),
        "palette": json.dumps(checkpoint.palette),
    }


def _fixed(checkpoint: Checkpoint) -> str:
    height, width = checkpoint.size
    return f"images N x 3 x {height} x {width}"


@contextmanager
def _one_line_errors(target: Path, kind: str) -> Iterator[None]:
    """Convert errors of an exporter to a UserError of one line. A user's own component may cause them."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise UserError(f"{target}: this network cannot be exported to {kind}: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of the exporters about their own versions and internals."""
    with warnings.catch_warnings(), only_errors("torch"):
        warnings.simplefilter("ignore")
        yield
