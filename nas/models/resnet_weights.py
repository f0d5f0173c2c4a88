"""Pretrained: an encoder of ours that starts from weights, such as torchvision's of a ResNet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nas.errors import UserError
from nas.models.blocks import Bottleneck, Residual
from nas.models.encoders import Encoder, StagedNet
from nas.models.norms import MakeNorm, make_norm
from nas.models.pretrained import PretrainedNet, check_fields, freezes_all, frozen_names
from nas.models.weights import (
    ENCODER,
    Shapes,
    find_file,
    find_named,
    find_optional,
    fitted,
    how_to_give,
    read_weights,
    shapes,
)
from nas.space.component import Component

__all__ = ["Pretrained", "resnet_name"]

IMAGENET = "imagenet"

RESNETS: dict[tuple[str, tuple[int, ...]], str] = {
    ("Residual", (2, 2, 2, 2)): "resnet18",
    ("Residual", (3, 4, 6, 3)): "resnet34",
    ("Bottleneck", (3, 4, 6, 3)): "resnet50",
    ("Bottleneck", (3, 4, 23, 3)): "resnet101",
    ("Bottleneck", (3, 8, 36, 3)): "resnet152",
}
"""torchvision's name by the block and the depths of the stages."""

CONVS = {Residual: 2, Bottleneck: 3}
"""Convolutions of a block, the shortcut's left out."""


@dataclass(frozen=True)
class Pretrained(Component):
    """An `Encoder` that starts from weights: torchvision's where it is a ResNet, or those of a run's encoder.

    Attributes:
        encoder: with batch norm, where the weights are torchvision's.
        weights: "imagenet" for torchvision's file in the folder of weights, such as resnet101-63fe2227.pth; a file; or
            the folder or the checkpoint of a run or of nas-pretrain.
        optional: whether to start from random weights where the file is not there, with a line in the log.
        frozen: number of first stages that are not trained; "all" of them; or "cached", as for `Timm`.
        rate: learning rate as a share of the optimizer's.
        statistics: "batch": batch norms use each batch's statistics in training, and average them for evaluation;
            "frozen": they keep the running statistics of the weights.
    """

    encoder: Encoder
    weights: str = IMAGENET
    optional: bool = False
    frozen: int | Literal["all", "cached"] = 0
    rate: float = 1.0
    statistics: Literal["batch", "frozen"] = "batch"

    def build(self, norm: MakeNorm) -> PretrainedNet:
        """The network, from random weights; `load_weights` loads others. Raises UserError for an unusable field."""
        check_fields("Pretrained", self.rate, self.statistics)
        body = self.encoder.build(norm)
        return PretrainedNet(
            body=body,
            channels=body.channels,
            reductions=body.reductions,
            depths=body.depths,
            weights=partial(_load, self, tuple(shapes(body.state_dict()).items())),
            frozen=frozen_names("Pretrained.frozen", self.frozen, _stages(body)),
            rate=self.rate,
            statistics=self.statistics,
        )

    def canonical(self) -> Pretrained:
        """Reset `rate` and `statistics`, which have no effect where all stages are frozen."""
        if not freezes_all(self.frozen):
            return self
        return replace(self, rate=Pretrained.rate, statistics=Pretrained.statistics)

    def check_weights(self, norms: Sequence[str] = ("batch",)) -> None:
        """Raise UserError unless the weights can be found, read and loaded with one of these norms."""
        errors = [error for norm in norms if (error := self._misfit(norm)) is not None]
        if len(errors) == len(norms):
            raise errors[0]

    def _misfit(self, norm: str) -> UserError | None:
        """Why the weights cannot be loaded into a network with a norm, None if they can."""
        with torch.device("meta"):
            wanted = tuple(shapes(self.encoder.build(partial(make_norm, norm)).state_dict()).items())
        try:
            _load(self, wanted)
        except UserError as error:
            return error
        return None

    def weights_note(self) -> str:
        """Where the weights come from, in one line."""
        file = _find(self)
        if file is not None:
            return f"The encoder starts from {file}"
        wanted = _pattern(self.encoder) if self.weights == IMAGENET else self.weights
        return f"The encoder starts from random weights, since there is no file {wanted}: {how_to_give()}"

    def weights_found(self) -> bool:
        """Whether the weights are there, which need not be where they are optional."""
        return _find(self) is not None


def _stages(body: StagedNet) -> list[set[str]]:
    """The names of the parameters of each stage; the stem belongs to the first."""
    names = [name for name, _ in body.named_parameters()]
    stages = [{name for name in names if name.startswith(f"stages.{i}.")} for i in range(len(body.stages))]
    stages[0] |= {name for name in names if name.startswith("stem.")}
    return stages


def _find(part: Pretrained) -> Path | None:
    """The file of weights, or None where it is optional and not there."""
    if part.weights != IMAGENET:
        find = find_optional if part.optional else find_file
        return find("Pretrained.weights", part.weights)
    pattern = _pattern(part.encoder)
    found = find_named([pattern])
    if found is None and not part.optional:
        raise UserError(
            f"there is no file {pattern} with torchvision's ImageNet weights: get it from "
            f"https://download.pytorch.org/models/ and {how_to_give()}"
        )
    return found


def _pattern(encoder: Encoder) -> str:
    name = resnet_name(encoder)
    if name is None:
        raise UserError(
            'Pretrained.weights is "imagenet", and the encoder is no ResNet of torchvision: give a file, or an encoder '
            "such as nas.models.deeplabv2_resnet101().encoder"
        )
    return f"{name}-*.pth"


def resnet_name(encoder: Encoder) -> str | None:
    """What torchvision calls an encoder, such as "resnet101"; None where it is no ResNet.

    Widths are compared when weights are loaded.
    """
    kinds = {type(stage.block).__name__ for stage in encoder.stages}
    if encoder.stem != "resnet" or encoder.stem_stride != 4 or len(kinds) != 1:
        return None
    return RESNETS.get((kinds.pop(), tuple(stage.depth for stage in encoder.stages)))


def _load(part: Pretrained, wanted: tuple[tuple[str, tuple[int, ...]], ...]) -> Mapping[str, Tensor] | None:
    file = _find(part)
    return None if file is None else _from_file(part.encoder, wanted, file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _from_file(
    encoder: Encoder, wanted: tuple[tuple[str, tuple[int, ...]], ...], path: Path, changed: int
) -> Mapping[str, Tensor]:
    state = read_weights(path)
    ours = dict(wanted)
    if any(key.startswith(ENCODER) for key in state):  # a checkpoint of a Pretrained, or of an Encoder
        inside = {key.removeprefix(ENCODER): t for key, t in state.items() if key.startswith(ENCODER)}
        own = {key.removeprefix("body."): t for key, t in inside.items()}
        return fitted(path, own, ours, "the encoder", ())
    if resnet_name(encoder) is None:
        return fitted(path, state, ours, "the encoder", ())
    theirs = dict(_resnet_names(encoder))
    renamed: Shapes = {_renamed(name, theirs): shape for name, shape in ours.items()}
    given = fitted(path, state, renamed, str(resnet_name(encoder)), ("fc",))
    return {name: given[_renamed(name, theirs)] for name in ours}


def _renamed(name: str, theirs: Mapping[str, str]) -> str:
    module, _, kind = name.rpartition(".")
    return f"{theirs.get(module, module)}.{kind}"


def _resnet_names(encoder: Encoder) -> Iterator[tuple[str, str]]:
    """Our modules' names beside torchvision's."""
    yield from (("stem.0", "conv1"), ("stem.1", "bn1"))
    for s, stage in enumerate(encoder.stages):
        for b in range(stage.depth):
            own, other = f"stages.{s}.{b}", f"layer{s + 1}.{b}"
            for c in range(CONVS[type(stage.block)]):
                yield from ((f"{own}.body.{c}.0", f"{other}.conv{c + 1}"), (f"{own}.body.{c}.1", f"{other}.bn{c + 1}"))
            yield from ((f"{own}.shortcut.{i}", f"{other}.downsample.{i}") for i in range(2))
