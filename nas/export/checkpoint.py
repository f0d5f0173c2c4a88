"""Checkpoints: one safetensors file that holds a network's weights and all that is needed to rebuild it."""

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
from nas.export.preprocessing import Preprocessing
from nas.files import replacing
from nas.models import Network, build_network
from nas.space import Recipe, SpaceError, from_json, load_space, to_json

if TYPE_CHECKING:
    from nas.training import Data

__all__ = ["BEST", "Checkpoint", "find_checkpoint", "load", "load_checkpoint", "save_checkpoint"]

BEST = "best.safetensors"
"""The name of a run's checkpoint inside its folder."""

MARK = "fewlabel_nas"
"""The metadata key that tells our files from other safetensors; its value is the version of their layout."""

LAYOUT = "1"

HEADS = "heads."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        network: in evaluation mode, on the CPU; RGB images in [0, 1] to logits.
        candidate: the recipe that built and trained it.
        classes: one name a channel of the logits.
        palette: one RGB colour a class.
        preprocessing: how an image is brought to what the network was trained on.
        metrics: scores by name, None where one was not finite.
        provenance: versions, date, seed, data and whatever else it was saved with.
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
        """Height and width of the images it was trained on, in pixels."""
        return self.preprocessing.size


def save_checkpoint(
    path: Path,
    network: Network,
    candidate: Recipe,
    data: Data,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """Write a trained network, without its pretext heads, and what describes it; all or nothing.

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
        "palette": getattr(data, "palette", None) or _spread_colours(len(data.classes)),
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
    """The network of a checkpoint or a run, in evaluation mode.

    It takes RGB images in [0, 1], N x 3 x H x W of any size, to logits N x classes x H x W. It was trained on images
    resized to `load_checkpoint(path).size`: for class maps of photos as `nas-predict` writes them, use `predictor`.
    `load_checkpoint`, which has the same arguments and errors, also gives its classes' names and colours.
    """
    return load_checkpoint(path, space).network


def load_checkpoint(path: str | Path, space: str | Path | None = None) -> Checkpoint:
    """Read a checkpoint and rebuild its network.

    Args:
        path: the file, or a run's folder for its best one.
        space: the space file, needed only where it defines components of its own. A checkpoint names no
            code to run, so that one from a stranger is safe to open.

    Raises:
        UserError: the file is missing, is no checkpoint, or does not fit its recipe or the known components.
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
        # Written before this was recorded, a checkpoint is of images resized as they are today.
        preprocessing=Preprocessing.from_description((height, width), described.get("preprocessing", squeezed)),
        metrics=described["metrics"],
        provenance=described["provenance"],
    )


_AS_TEXT = (MARK, "format", "recipe")


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file itself, or the best one of a run's folder.

    Raises:
        UserError: there is none.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / BEST).is_file():
            raise UserError(f"{path} holds no {BEST}: give a run that has ended, or a checkpoint file")
        return path / BEST
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: give a .safetensors checkpoint, or the folder of a run")
    return path


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a file of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if MARK not in metadata:
                raise UserError(f"{path} is a safetensors file but no checkpoint of this toolkit: it has no recipe")
            if metadata[MARK] != LAYOUT:
                raise UserError(
                    f"{path} has layout {metadata[MARK]}, this version reads {LAYOUT}: use the version that wrote it"
                )
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file, or only part of one: {error}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _origin() -> dict[str, str]:
    """What wrote the file, and when."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"toolkit": f"fewlabel-nas {__version__}", "torch": torch.__version__, "date": now}


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: numbers as Python's, None where not finite, anything unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _spread_colours(count: int) -> list[tuple[int, ...]]:
    """Colours for data that has none: hues a golden angle apart, so that neighbours differ."""
    hues = (i * 0.381966 % 1 for i in range(count))
    return [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.7, 0.9)) for hue in hues]


def _first_misfit(error: RuntimeError) -> str:
    """The first particular that `load_state_dict` names, below its headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[1] if len(lines) > 1 else lines[0] if lines else type(error).__name__)[:300].rstrip(". ")
