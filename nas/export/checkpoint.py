"""Checkpoints: safetensors files with a network's weights and all that is needed to rebuild the network."""

from __future__ import annotations

import colorsys
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from nas import __version__
from nas.components import know_components
from nas.errors import UserError
from nas.export.encoder_file import ENCODER_MARK
from nas.export.preprocessing import Preprocessing
from nas.files import replacing
from nas.models import Network, build_network
from nas.space import Recipe, SpaceError, from_json, load_space, to_json

if TYPE_CHECKING:
    from nas.training import Data

__all__ = ["BEST", "Checkpoint", "find_checkpoint", "load", "load_checkpoint", "save_checkpoint"]

BEST = "best.safetensors"
"""File name of the best checkpoint in the folder of a run."""

MARK = "fewlabel_nas"
"""Metadata key of checkpoints, which other safetensors files lack. Its value is the version of the layout."""

LAYOUT = "1"

HEADS = "heads."


@dataclass(frozen=True)
class Checkpoint:
    """Contents of a checkpoint file.

    Attributes:
        network: the network in evaluation mode on the CPU, from RGB images in [0, 1] to logits.
        candidate: the recipe of the network and its training.
        classes: name of each class, in the order of the logits.
        palette: RGB colour of each class.
        preprocessing: how images are read and resized.
        metrics: scores by name; None for a value that was not finite.
        provenance: versions, date, seed, data and anything else that was saved.
    """

    network: Network
    candidate: Recipe
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    preprocessing: Preprocessing
    metrics: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the training images, in pixels."""
        return self.preprocessing.size


def save_checkpoint(
    path: Path,
    network: Network,
    candidate: Recipe,
    data: Data,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write a trained network and its description to a file, atomically. Pretext heads are left out.

    Args:
        path: the file.
        network: the trained network.
        candidate: its recipe.
        data: the data set it was trained on, for classes, palette and image size.
        metrics: scores by name.
        provenance: further facts to record, such as seed and data.

    Raises:
        OSError: the file cannot be written.
        SpaceError: the candidate is not closed.
    """
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
        if not name.startswith(HEADS)
    }
    height, width = data.labelled.images.shape[1:3]
    described = {
        "classes": list(data.classes),
        "palette": getattr(data, "palette", None) or _default_palette(len(data.classes)),
        "normalization": {"mean": network.mean.flatten().tolist(), "std": network.std.flatten().tolist()},
        "size": [height, width],
        "preprocessing": Preprocessing((height, width), scale=getattr(data, "scale", None)).described(),
        "metrics": dict(metrics),
        "provenance": {**_origin(), **provenance},
    }
    metadata = {name: json.dumps(_plain(value)) for name, value in described.items()}
    metadata |= {MARK: LAYOUT, "format": "pt", "recipe": to_json(candidate.candidate())}
    with replacing(Path(path)) as temporary:
        save_file(state, temporary, metadata)


def load(path: str | Path, space: str | Path | None = None) -> Network:
    """Load the network of a checkpoint or a run, in evaluation mode.

    The network maps RGB images in [0, 1], N x 3 x H x W of any size, to logits N x classes x H x W. Its training images
    were resized to `load_checkpoint(path).size`. Use `predictor` for class maps of photos as `nas-predict` writes them,
    and `load_checkpoint` for the names and colours of the classes; arguments and errors are the same.
    """
    return load_checkpoint(path, space).network


def load_checkpoint(path: str | Path, space: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint and rebuild its network.

    A checkpoint contains no code and is safe to open, whoever made it.

    Args:
        path: a checkpoint file, or the folder of a run for its best checkpoint.
        space: the space file, needed only for networks with components that it defines. It is run.

    Raises:
        UserError: the file is missing or not a checkpoint, its weights do not fit its recipe, or a component is
            unknown.
    """
    file = find_checkpoint(path)
    metadata, state = _read(file)
    know_components()
    if space is not None:
        load_space(space)
    try:
        return _rebuild(metadata, state)
    except SpaceError as error:
        beside = file.parent / "space.py"
        own = f", if you trust it: --space {beside}" if beside.exists() else ", if it defines components of its own"
        hint = "" if space else f"; give the space file{own}"
        raise UserError(f"{file}: {error}{hint}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except RuntimeError as error:
        raise UserError(f"{file}: its weights do not fit its recipe: {_first_misfit(error)}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{file}: its description is damaged ({what}): save it again") from None


def _rebuild(metadata: Mapping[str, str], state: dict[str, torch.Tensor]) -> Checkpoint:
    candidate = from_json(metadata["recipe"])
    described = {name: json.loads(text) for name, text in metadata.items() if name not in _AS_TEXT}
    classes = tuple(described["classes"])
    network = build_network(candidate, len(classes), **described["normalization"])
    if candidate.method is not None:
        network = candidate.method.inference(network)
    network.load_state_dict(state)
    network.eval()
    height, width = described["size"]
    squeezed = Preprocessing((height, width)).described()
    return Checkpoint(
        network=network,
        candidate=candidate,
        classes=classes,
        palette=tuple((r, g, b) for r, g, b in described["palette"]),
        # Older checkpoints do not record it. Their images were resized in the same way.
        preprocessing=Preprocessing.from_description((height, width), described.get("preprocessing", squeezed)),
        metrics=described["metrics"],
        provenance=described["provenance"],
    )


_AS_TEXT = (MARK, "format", "recipe")


def find_checkpoint(path: str | Path) -> Path:
    """Return the path of a checkpoint file, or of the best checkpoint in the folder of a run.

    Raises:
        UserError: there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise UserError(f"{path} has no {BEST}: give a run that has ended, or a checkpoint file")
        return path / BEST
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: give a .safetensors checkpoint, or the folder of a run")
    return path


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Read metadata and tensors of a checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if ENCODER_MARK in metadata:
                raise UserError(
                    f"{path} holds a pretrained encoder, not a whole network: search with it, as weights= of an encoder"
                )
            if MARK not in metadata:
                raise UserError(f"{path} is a safetensors file, but not a checkpoint of this toolkit: it has no recipe")
            if metadata[MARK] != LAYOUT:
                raise UserError(
                    f"{path} has layout {metadata[MARK]}, this version reads {LAYOUT}: use the version that wrote it"
                )
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file, or is incomplete: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _origin() -> dict[str, str]:
    """Versions and date for the provenance."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"toolkit": f"fewlabel-nas {__version__}", "torch": torch.__version__, "date": now}


def _plain(value: Any) -> Any:
    """Convert a value to JSON-ready data: arrays to lists, non-finite numbers to None, unknown objects to text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _default_palette(count: int) -> list[tuple[int, ...]]:
    """Colours for data without a palette: hues a golden angle apart, so that successive classes differ."""
    hues = (i * 0.381966 % 1 for i in range(count))
    return [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.7, 0.9)) for hue in hues]


def _first_misfit(error: RuntimeError) -> str:
    """The first mismatch in an error of `load_state_dict`, below its headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:300].rstrip(". ")
