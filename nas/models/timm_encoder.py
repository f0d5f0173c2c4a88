"""Timm: an encoder of the timm library, from random or pretrained weights."""

from __future__ import annotations

import difflib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.errors import MissingWeightsError, UserError
from nas.logs import only_errors
from nas.models.encoders import OUTPUT_STRIDES
from nas.models.norms import MakeNorm
from nas.models.pretrained import PretrainedNet, check_fields, freezes_all, frozen_names
from nas.models.weights import ENCODER, find_file, find_named, fitted, how_to_give, read_weights, shapes
from nas.space.checks import check_one_of
from nas.space.component import Component

__all__ = ["Timm", "TimmNet"]

IMAGENET = "imagenet"

HEADS = ("fc", "_fc", "classifier", "head", "heads", "last_linear")
"""Names of classifying modules in timm, torchvision and others."""

HUB_NAMES = {
    "mobilenetv2_100": "mobilenet_v2",
    **{f"tf_efficientnet_lite{i}": f"efficientnet-lite{i}" for i in range(5)},
}
"""Start of the file names of torchvision and Torch Hub where timm's name of the network differs."""

DEPTH = 2
"""Convolutions per stage of a decoder that mirrors the encoder."""

SIDES = (64, 96)
"""Height and width of the image that an encoder is tried on. They differ to find networks that need square images."""


@dataclass(frozen=True)
class Timm(Component):
    """An encoder of the timm library (Wightman 2019), such as "mobilenetv2_100" or "resnet50.a1_in1k".

    It keeps its own norm layers: the recipe's `norm` applies to the decoder only. Images are normalized inside the
    network, by the mean and standard deviation of its weights. Any convolutional network with `features_only` works.

    Attributes:
        name: name in timm, with or without the tag of its weights.
        weights: None for random weights; "imagenet" for those of the tag or timm's default, from the weights folder or
            downloaded by timm; a file (.safetensors, or a state dict saved by torch); the folder or the
            checkpoint of a run or of nas-pretrain, whose encoder is used.
        output_stride: largest total stride, 8, 16 or 32; dilation replaces the strides left out.
        frozen: number of first stages that are not trained; "all" of them; or "cached": all, and their features are
            computed once a run, for a fixed set of views, where the recipe allows it (see `Recipe.caches_features`).
        rate: learning rate of the encoder as a share of the optimizer's.
        statistics: "batch" trains batch norms as usual; "frozen" keeps the running statistics of the weights.
    """

    own_norm: ClassVar[bool] = True

    name: str = "resnet18"
    weights: str | None = None
    output_stride: int = 32
    frozen: int | Literal["all", "cached"] = 0
    rate: float = 1.0
    statistics: Literal["batch", "frozen"] = "batch"

    def build(self, norm: MakeNorm) -> TimmNet:
        """Build the network with random weights; `load_weights` loads the pretrained ones.

        Raises:
            UserError: a field has an unusable value, or timm is not installed.
        """
        check_one_of("Timm.output_stride", self.output_stride, OUTPUT_STRIDES)
        check_fields("Timm", self.rate, self.statistics)
        if self.weights is not None and not isinstance(self.weights, str):
            raise UserError(f'Timm.weights is {self.weights!r}: use None, "imagenet", or the path of a file')
        facts = _facts(self.name, self.output_stride)
        net = TimmNet(
            body=_create(self.name, self.output_stride),
            channels=facts.channels,
            reductions=facts.reductions,
            depths=[DEPTH] * len(facts.channels),
            weights=None if self.weights is None else partial(_load, self.name, self.weights),
            frozen=frozen_names("Timm.frozen", self.frozen, facts.stages),
            rate=self.rate,
            statistics=self.statistics,
        )
        net.mean, net.std = facts.mean, facts.std
        return net

    def canonical(self) -> Timm:
        """Reset `rate` and `statistics`, which have no effect where all stages are frozen."""
        return replace(self, rate=Timm.rate, statistics=Timm.statistics) if freezes_all(self.frozen) else self

    def check_weights(self) -> None:
        """Raise UserError unless the weights can be found, read and loaded."""
        _facts(self.name, 32)
        if self.weights is not None:
            _load(self.name, self.weights)

    def wants_imagenet(self) -> bool:
        """Whether the encoder starts from ImageNet weights that are looked for by the network's name."""
        return self.weights == IMAGENET

    def weights_note(self) -> str | None:
        """Describe in one line where the weights come from; None for random weights."""
        if self.weights is None:
            return None
        return f"{self.name} starts from {_find(self.name, self.weights) or 'weights that timm downloaded'}"

    def weights_found(self) -> bool:
        """True: a search does not start without the weights."""
        return True


class TimmNet(PretrainedNet):
    """The network of a `Timm` encoder."""

    def __init__(self, body: nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(body, *args, **kwargs)
        same = getattr(_timm().layers, "Conv2dSame", ())
        for module in body.modules():
            if isinstance(module, same):
                module.__class__ = _Conv2dSame

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images N x 3 x H x W to features; H and W must be multiples of the largest reduction."""
        if self.training and len(x) == 1 and max(x.shape[2:]) <= max(self.reductions):
            # Batch norm refuses a single value per channel, which has no variance.
            self.eval()
            features = super().forward(x)
            self.train()
            return features
        return super().forward(x)


class _Conv2dSame(nn.Conv2d):
    """TensorFlow's "same" padding for inputs whose sides are multiples of the stride, where it is constant.

    timm computes the padding from the size of each input, which cannot be exported with open sizes.
    """

    def forward(self, input: Tensor) -> Tensor:
        pads: list[int] = []
        for side in (1, 0):
            total = max(self.dilation[side] * (self.kernel_size[side] - 1) + 1 - self.stride[side], 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(input, pads))


@dataclass(frozen=True)
class _Facts:
    """Properties of a network, found on the meta device.

    Attributes:
        channels, reductions: channels and total stride of each feature.
        mean, std: normalization of images for the weights.
        stages: names of the parameters that each feature depends on, without those of finer features.
    """

    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stages: tuple[frozenset[str], ...]


@lru_cache(maxsize=64)
def _facts(name: str, output_stride: int) -> _Facts:
    """Build a network on the meta device and read its properties.

    Raises:
        UserError: timm has no such network, or it cannot serve as an encoder.
    """
    _check_name(name)
    with _undisturbed(), torch.device("meta"), torch.enable_grad():
        try:
            net = _create(name, output_stride).eval()
            features = list(net(torch.zeros(1, 3, *SIDES)))
        except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            if output_stride != 32:
                raise UserError(f"Timm.output_stride is {output_stride}: {name} cannot be dilated, use 32") from None
            raise UserError(f"Timm.name is {name!r}: it cannot serve as an encoder ({_first_line(error)})") from None
        channels, reductions = tuple(net.feature_info.channels()), tuple(net.feature_info.reduction())
        sizes = [(c, SIDES[0] // r, SIDES[1] // r) for c, r in zip(channels, reductions, strict=True)]
        if [tuple(f.shape[1:]) for f in features] != sizes or list(reductions) != sorted(reductions):
            raise UserError(f"Timm.name is {name!r}: it gives no maps of features, from fine to coarse")
        config = net.pretrained_cfg
        return _Facts(channels, reductions, tuple(config["mean"]), tuple(config["std"]), _stages(net, features))


def _stages(net: nn.Module, features: list[Tensor]) -> tuple[frozenset[str], ...]:
    names, parameters = zip(*net.named_parameters(), strict=True)
    seen: frozenset[str] = frozenset()
    stages = []
    for feature in features:
        gradients = torch.autograd.grad(feature.sum(), parameters, retain_graph=True, allow_unused=True)
        reached = frozenset(name for name, gradient in zip(names, gradients, strict=True) if gradient is not None)
        stages.append(reached - seen)
        seen |= reached
    return tuple(stages)


def _load(name: str, weights: str) -> Mapping[str, Tensor]:
    """Read the state dict for a network of `_create`."""
    file = _find(name, weights)
    if file is None:
        return _downloaded(name)
    return _from_file(name, file, file.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _from_file(name: str, path: Path, changed: int) -> Mapping[str, Tensor]:
    state = read_weights(path)
    own = {key.removeprefix(f"{ENCODER}body."): t for key, t in state.items() if key.startswith(f"{ENCODER}body.")}
    if own:  # a checkpoint of ours
        with _undisturbed(), torch.device("meta"):
            wanted = shapes(_create(name, 32).state_dict())
        return fitted(path, own, wanted, f"Timm({name!r})", ())
    with _undisturbed(), torch.device("meta"):
        whole = _timm().create_model(name)
    classifier = whole.pretrained_cfg.get("classifier") or ()
    heads = (*HEADS, *((classifier,) if isinstance(classifier, str) else classifier))
    all_shapes, below = shapes(whole.state_dict()), tuple(f"{head}." for head in heads)
    wanted = {key: shape for key, shape in all_shapes.items() if not key.startswith(below)}
    given = fitted(path, state, wanted, f"Timm({name!r})", heads)
    # timm renames the tensors of the whole network for the one with `features_only`.
    with _undisturbed():
        config = {"state_dict": dict(given), "custom_load": False, "classifier": classifier or "fc"}
        return _create(name, 32, pretrained=True, pretrained_cfg_overlay=config).state_dict()


def _find(name: str, weights: str) -> Path | None:
    """Find the file of weights, also in timm's download cache; None where it must be downloaded."""
    if weights != IMAGENET:
        return find_file("Timm.weights", weights)
    return find_named(_file_names(name)) or _downloaded_before(_config(name).hf_hub_id)


def _downloaded_before(repository: str | None) -> Path | None:
    if repository is None or find_spec("huggingface_hub") is None:
        return None
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(repository, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


@lru_cache(maxsize=2)
def _downloaded(name: str) -> Mapping[str, Tensor]:
    """Have timm download the weights, or read them from its cache."""
    config = _config(name)
    if not config.has_weights:
        raise UserError(f'Timm.weights is "imagenet": timm has no weights of {name}: give a file, or None')
    try:
        _check_network()
        with _undisturbed():
            return _create(name, 32, pretrained=True).state_dict()
    except Exception as error:  # of whichever library downloads
        source = f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
        raise MissingWeightsError(
            f"the ImageNet weights of {name} cannot be downloaded ({_first_line(error)}): get "
            f"{source if config.hf_hub_id else config.url}, call it {_file_names(name)[0]} and {how_to_give()}"
        ) from None


def _check_network() -> None:
    """Raise OSError at once without a network, where a download would be tried for a minute."""
    if find_spec("huggingface_hub") is None or getproxies():
        return
    from huggingface_hub import constants

    socket.create_connection((urlsplit(constants.ENDPOINT).hostname or "", 443), timeout=5).close()


def _file_names(name: str) -> list[str]:
    """Patterns for the file name of a network's ImageNet weights, the most specific first."""
    config = _config(name)
    architecture, _, tag = name.partition(".")
    names = [f"{architecture}.{config.tag}.safetensors"]
    names += [Path(config.url).name] if config.url else []
    if not tag or tag.startswith("tv"):
        names += [f"{architecture}.safetensors", f"{architecture}.pth", f"{architecture}-*.pth"]
        names += [f"{HUB_NAMES[architecture]}-*.pth"] if architecture in HUB_NAMES else []
    return names


def _config(name: str) -> Any:
    _check_name(name)
    return _timm().get_pretrained_cfg(name)


def _check_name(name: object) -> None:
    """Raise UserError unless timm has a network of that name. Downloads nothing."""
    timm = _timm()
    architecture, _, tag = str(name).partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), 3)
        meant = f", did you mean {' or '.join(close)}" if close else "; timm.list_models() lists them"
        raise UserError(f"Timm.name is {name!r}: timm has no such network{meant}")
    if tag:
        with_tag = timm.list_pretrained(f"{architecture}.*")
        if name not in with_tag:
            tags = ", ".join(known.partition(".")[2] for known in with_tag) or "none"
            raise UserError(f"Timm.name is {name!r}: {architecture} has no weights of that tag; there are {tags}")


def _create(name: str, output_stride: int, **options: Any) -> Any:
    stride = {} if output_stride == 32 else {"output_stride": output_stride}
    return _timm().create_model(name, features_only=True, **stride, **options)


@lru_cache(maxsize=1)
def _timm() -> Any:
    try:
        import timm.layers
        import timm.models
    except ImportError as error:
        raise UserError(
            f"Timm needs the package timm ({_first_line(error)}): pip install 'fewlabel-nas[timm]'"
        ) from None
    except RuntimeError as error:  # torchvision beside another build of torch
        raise UserError(f"timm cannot be imported ({_first_line(error)}): install torchvision for this torch") from None
    return timm


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Context manager: keep torch's random state and timm's log unchanged."""
    with only_errors("timm"), torch.random.fork_rng(devices=[]):
        yield


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
