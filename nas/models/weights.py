"""Files of pretrained weights: where they lie, how they are read, and whether they fit a network."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from textwrap import shorten

import torch
from safetensors.torch import load_file
from torch import Tensor

from nas.errors import UserError
from nas.weights_folder import NAS_WEIGHTS, expanded, weights_dir

__all__ = ["find_file", "find_named", "find_optional", "fitted", "how_to_give", "read_weights", "shapes"]

BEST = "best.safetensors"
"""A run's checkpoint in its folder."""

ENCODER = "encoder."
"""How the encoder's tensors are named in a checkpoint of a whole network."""

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts save a state dict."""

PREFIXES = ("module.", "_orig_mod.")
"""What torch's wrappers put before every name."""

PICKLE = b"\x80"
"""First byte of a pickle. A zip file, which torch writes by default, begins otherwise."""

HEAD = 256
"""Bytes from which other kinds of files are recognised."""

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
    found = find_optional(where, given)
    if found is not None:
        return found
    if any(place.is_dir() for place in _places(given)):
        raise UserError(f"{where} is {given!r}, a folder without {BEST}: give a file, or a run that has ended")
    folder = weights_dir()
    also = f" here or in {folder}" if folder else ""
    raise UserError(f"{where} is {given!r}: there is no such file{also}; {how_to_give()}, or give its path")


def find_optional(where: str, given: str) -> Path | None:
    """Find a file as `find_file` does; None where there is none."""
    if not isinstance(given, str) or not given:
        raise UserError(f"{where} is {given!r}: give the path of a file, as text")
    files = (place / BEST if place.is_dir() else place for place in _places(given))
    return next((file for file in files if file.is_file()), None)


def _places(given: str) -> list[Path]:
    folder, path = weights_dir(), expanded(given)
    return [path, *([folder / path] if folder else [])]


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
        UserError: the file cannot be read, is damaged, or holds pickled code or no state dict.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    other = _other_kind(head)
    if other:
        raise UserError(f"{path} {other}")
    try:
        loaded = _loaded(path)
    except Exception as error:  # damaged bytes lead torch's reader of pickles anywhere
        raise UserError(f"{path} {_problem(error, head)}") from None
    return _unwrapped(path, loaded)


def _loaded(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles that torch did not write, which are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True)


def _other_kind(head: bytes) -> str | None:
    """What a file is instead of weights, by its first bytes."""
    if not head:
        return "is empty: copy it again"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS to the weights: run git lfs pull, or download the file itself"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page: download the file of weights itself"
    return None


def _problem(error: Exception, head: bytes) -> str:
    """Why a file cannot be loaded, and what to do."""
    alone = "save the model's state_dict() alone"
    if "TorchScript" in str(error):
        return f"is a TorchScript archive: {alone}"
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):  # the name of a class or a function
        return f"holds pickled Python objects, which are not loaded since they may run code: {alone}"
    if isinstance(error, pickle.UnpicklingError) and head.startswith(PICKLE):
        return (
            "is damaged, or holds pickled Python objects, which are not loaded since they may run code: copy it again, "
            f"or {alone}"
        )
    reason = next(iter(str(error).splitlines()), "")
    shown = f" ({shorten(reason, 80)})" if reason and not isinstance(error, pickle.UnpicklingError) else ""
    return f"is damaged, or no file of weights{shown}: copy it again"


def _unwrapped(path: Path, loaded: object) -> dict[str, Tensor]:
    """The state dict itself, without what training scripts and torch's wrappers put around it."""
    for key in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    items = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {name: value for name, value in items if isinstance(name, str) and isinstance(value, Tensor)}
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
        UserError: the file is of another network, or a tensor has no usable values; the message names the first
            tensors that differ.
    """
    kept = _without(state, heads)
    below = _without({n.removeprefix(ENCODER): t for n, t in state.items() if n.startswith(ENCODER)}, heads)
    for view in (kept, below):
        if view and not differences(shapes(view), wanted):
            return _sound(path, view)
    ordered = _in_order(kept, wanted)
    if ordered is not None:
        return _sound(path, ordered)
    closest = shapes(max(below, kept, key=lambda view: (sum(name in wanted for name in view), bool(view))))
    same_names = any(name in wanted for name in closest)
    differing = differences(closest, wanted) if same_names else _differences_in_order(closest, wanted)
    raise UserError(f"{path} does not fit {network}: {'; '.join(differing[:MOST_SHOWN])}")


def _sound(path: Path, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the tensors. Raise UserError unless all of them hold finite real numbers."""
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_complex() or tensor.is_quantized:
            raise UserError(
                f"{path}: {name} holds no plain numbers ({_kind(tensor)}): save the state_dict() in float32"
            )
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise UserError(f"{path}: {name} holds values that are not finite: use another file")
    return state


def _kind(tensor: Tensor) -> str:
    """What distinguishes a tensor from a plain one, such as `torch.complex64` or `torch.sparse_coo`."""
    return "no data" if tensor.is_meta else str(tensor.layout if tensor.layout != torch.strided else tensor.dtype)


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
