"""Encoders with pretrained weights: loading, frozen stages, and a learning rate of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.errors import UserError
from nas.models.encoders import EncoderNet
from nas.space.checks import check_one_of

__all__ = ["PretrainedNet", "check_fields", "freezes_all", "frozen_names"]

STATISTICS = ("batch", "frozen")

Weights = Callable[[], Mapping[str, Tensor] | None]
"""Reads the state dict of an encoder from a file; None to keep random weights."""


class PretrainedNet(EncoderNet):
    """An encoder's network, `body`, that may start from pretrained weights.

    Args:
        body: maps images N x 3 x H x W to a list of features, from fine to coarse.
        weights: reads the state dict of `body`; None for random weights.
        frozen: names of the parameters of `body` that are not trained. Frozen norms use running statistics. If none is
            trained, the whole of `body` stays in evaluation mode.
        rate: learning rate as a share of the optimizer's.
        statistics: "batch" or "frozen", the statistics that batch norms use in training.
    """

    def __init__(
        self,
        body: nn.Module,
        channels: Sequence[int],
        reductions: Sequence[int],
        depths: Sequence[int],
        weights: Weights | None,
        frozen: Collection[str],
        rate: float,
        statistics: str,
    ) -> None:
        super().__init__(channels, reductions, depths)
        self.body = body
        self.rate = rate
        self.pretrained = weights is not None
        self._weights = weights
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(name not in frozen)
        whole = not any(parameter.requires_grad for parameter in body.parameters())
        self._in_evaluation = {
            name
            for name, module in body.named_modules()
            if whole or _is_frozen(module) or (statistics == "frozen" and isinstance(module, _BatchNorm))
        }

    def load_weights(self) -> None:
        state = self._weights() if self._weights is not None else None
        if state is not None:
            # Not strict, since the counters of batch norms may be missing. The rest has been checked.
            self.body.load_state_dict(state, strict=False)

    def train(self, mode: bool = True) -> PretrainedNet:
        """Set the mode. Frozen modules stay in evaluation mode."""
        super().train(mode)
        for name, module in self.body.named_modules():
            if name in self._in_evaluation:
                module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images N x 3 x H x W to features; H and W must be multiples of the largest reduction."""
        return list(self.body(x))


def _is_frozen(module: nn.Module) -> bool:
    """Whether a module has its own parameters and none of them is trained."""
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)


def freezes_all(frozen: Any) -> bool:
    """Whether a `frozen` field excludes all stages from training."""
    return frozen in ("all", "cached")


def frozen_names(where: str, frozen: int | Literal["all", "cached"], stages: Sequence[Collection[str]]) -> set[str]:
    """Names of the parameters that a `frozen` field excludes from training.

    Args:
        where: the field's name.
        stages: names of the parameters of each stage, fine to coarse.

    Raises:
        UserError: the value is neither "all", "cached" nor smaller than the number of stages.
    """
    count = len(stages) if freezes_all(frozen) else frozen
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UserError(f'{where} is {frozen!r}: use 0, a number of stages, "all" or "cached"')
    if not freezes_all(frozen) and count >= len(stages):
        raise UserError(f'{where} is {frozen}: the encoder has {len(stages)} stages; use less, or "all"')
    return {name for stage in stages[:count] for name in stage}


def check_fields(kind: str, rate: float, statistics: str) -> None:
    """Raise UserError unless the rate is above 0 and the statistics are among STATISTICS."""
    check_one_of(f"{kind}.statistics", statistics, STATISTICS)
    if not isinstance(rate, int | float) or not 0 < rate <= 1000:
        raise UserError(f'{kind}.rate is {rate!r}: use a share of the learning rate above 0, or frozen="all"')
