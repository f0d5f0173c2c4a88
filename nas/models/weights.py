"""Files of pretrained weights: where they lie, how they are read, and whether they fit a network."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nas.errors import UserError
from nas.weights_folder import NAS_WEIGHTS, weights_dir

__all__ = ["find_file", "find_named", "fitted", "how_to_give", "read_weights", "shapes"]

BEST = "best.safetensors"
"""A run's checkpoint in its folder."""

ENCODER = "encoder."
"""How the encoder's tensors are named in a checkpoint of a whole network."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts save a state dict."""

PREFIXES = ("module.", "_orig_mod.")
"""What torch's wrappers put before every name."""

MOST_SHOWN = 3

Shapes = Mapping[str, tuple[int, ...]]


def how_to_give() -> str:
    """What to do with a file that was not found."""
    folder = weights_dir()
    place = f"into {folder}" if folder else f"into a folder, and name the folder by --weights-dir or {NAS_WEIGHTS}"
    return f"put it {place}"


def find_file(where: str, given: str) -> Path:
    """Find a weight file or the checkpoint of a run: at the path as given, or in the weights folder.

    Args:
        where: name of the field, for error messages.

    Raises:
        UserError: there is none.
    """
    folder = weights_dir()
    path = Path(given).expanduser()
    for place in (path, *([folder / path] if folder else [])):
        file = place / BEST if place.is_dir() else place
        if file.is_file():
            return file
    also = f" here or in {folder}" if folder else ""
    raise UserError(f"{where} is {given!r}: there is no such file{also}; {how_to_give()}, or give its path")


def find_named(patterns: Iterable[str]) -> Path | None:
    """The first file that matches a pattern, in the folder of weights or else in torch's own cache."""
    folder = weights_dir()
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    for place in (*([folder] if folder else []), hub):
        for pattern in patterns:
            found = sorted(path for path in place.glob(pattern) if path.is_file())
            if found:
                return found[0]
    return None


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict that torch saved; no code in it is run.

    Raises:
        UserError: the file is damaged, holds pickled code or no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return _unwrapped(path, load_file(path))
        return _unwrapped(path, torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # the name of a class or a function
            raise UserError(
                f"{path} holds pickled Python objects, which are not loaded since they may run code: "
                "save the model's state_dict() alone"
            ) from None
        raise UserError(f"{path} is damaged, or no file of weights: copy it again") from None
    except (SafetensorError, RuntimeError, EOFError, BadZipFile, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged, or no file of weights ({reason}): copy it again") from None
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except OSError as error:  # also of a shortened zip file
        raise UserError(f"{path} is damaged, or no file of weights ({error}): copy it again") from None


def _unwrapped(path: Path, loaded: object) -> dict[str, Tensor]:
    """The state dict itself, without what training scripts and torch's wrappers put around it."""
    for key in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    state = {k: v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not state:
        raise UserError(f"{path} holds no state dict: save the model's state_dict()")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, without the counters of batch norms, which not every file has."""
    return {name: tuple(t.shape) for name, t in state.items() if not name.endswith("num_batches_tracked")}


def fitted(path: Path, state: Mapping[str, Tensor], wanted: Shapes, network: str, heads: Sequence[str]) -> Mapping:
    """The tensors of a file under a network's own names; a classifier's head is left out.

    Files of other libraries name the same layers otherwise: where names differ, layers are matched in their order, if
    there are as many and each has tensors of the same kinds and shapes.

    Args:
        wanted: shapes of the network's tensors by name, in order, heads left out.
        network: what to call it in messages.
        heads: names of modules that classify.

    Raises:
        UserError: the file is of another network; the message names the first tensors that differ.
    """
    kept = _without(state, heads)
    below = _without({n.removeprefix(ENCODER): t for n, t in state.items() if n.startswith(ENCODER)}, heads)
    for view in (kept, below):
        if view and not differences(shapes(view), wanted):
            return view
    ordered = _in_order(kept, wanted)
    if ordered is not None:
        return ordered
    closest = shapes(max(kept, below, key=lambda view: sum(name in wanted for name in view)))
    same_names = any(name in wanted for name in closest)
    differing = differences(closest, wanted) if same_names else _differences_in_order(closest, wanted)
    raise UserError(f"{path} does not fit {network}: {'; '.join(differing[:MOST_SHOWN])}")


def _without(state: Mapping[str, Tensor], heads: Sequence[str]) -> dict[str, Tensor]:
    below = tuple(f"{head}." for head in heads)
    return {name: tensor for name, tensor in state.items() if not name.startswith(below)}


def differences(found: Shapes, wanted: Shapes) -> list[str]:
    """How a file's tensors differ from a network's, a phrase each; empty where they fit."""
    both = [name for name in wanted if name in found and found[name] != wanted[name]]
    there = [f"{name} is {_by(found[name])}, not {_by(wanted[name])}" for name in both]
    missing = [f"{name} ({_by(shape)}) is missing" for name, shape in wanted.items() if name not in found]
    unknown = [f"{name} ({_by(shape)}) is not in the network" for name, shape in found.items() if name not in wanted]
    return [text for three in _transposed((there, missing, unknown)) for text in three]


def _transposed(lists: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """One of each kind first, so that a few examples show all kinds."""
    for i in range(max(map(len, lists))):
        yield [each[i] for each in lists if i < len(each)]


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a scalar"


def _differences_in_order(found: Shapes, wanted: Shapes) -> list[str]:
    """How the modules of a file differ from a network's, where no name is the same."""
    nothing: tuple[str, dict[str, tuple[int, ...]]] = ("nothing", {})
    pairs = zip_longest(_modules(found).items(), _modules(wanted).items(), fillvalue=nothing)
    return [
        f"{other} ({', '.join(map(_by, theirs.values()))}) stands where the network has "
        f"{own} ({', '.join(map(_by, ours.values()))})"
        for (other, theirs), (own, ours) in pairs
        if theirs != ours
    ]


def _in_order(state: Mapping[str, Tensor], wanted: Shapes) -> dict[str, Tensor] | None:
    """Match tensors to the names of the network by the order of modules; None where shapes differ."""
    theirs, ours = _modules(shapes(state)), _modules(wanted)
    if list(theirs.values()) != list(ours.values()):
        return None
    return {
        f"{own}.{kind}": state[f"{other}.{kind}"] for own, other in zip(ours, theirs, strict=True) for kind in ours[own]
    }


def _modules(tensors: Shapes) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes by the kind of tensor (weight, bias, ...) of each module, in order."""
    modules: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in tensors.items():
        module, _, kind = name.rpartition(".")
        modules.setdefault(module, {})[kind] = shape
    return modules
