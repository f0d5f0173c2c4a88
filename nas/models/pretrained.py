"""What an encoder that starts from pretrained weights has beside its layers: frozen stages and a rate of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.errors import UserError
from nas.models.encoders import EncoderNet
from nas.space.checks import check_one_of

__all__ = ["PretrainedNet", "check_fields", "frozen_names"]

STATISTICS = ("batch", "frozen")

Weights = Callable[[], Mapping[str, Tensor] | None]
"""The state of an encoder's layers by name, read from a file; None to keep the random start."""


class PretrainedNet(EncoderNet):
    """An encoder's network whose layers, `body`, start from pretrained weights.

    Args:
        body: images N x 3 x H x W to a list of features, fine to coarse.
        weights: reads the state of `body`; None to start from random weights.
        frozen: names of the parameters of `body` that are not trained. Their norms use running statistics.
        rate: learning rate as a share of the optimizer's.
        statistics: "batch" or "frozen": what the batch norms of `body` normalise by in training.
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
        self._in_evaluation = {
            name
            for name, module in body.named_modules()
            if _is_frozen(module) or (statistics == "frozen" and isinstance(module, _BatchNorm))
        }

    def load_weights(self) -> None:
        state = self._weights() if self._weights is not None else None
        if state is not None:
            # Not strict, as the counters of batch norms may be missing; the others are known to fit.
            self.body.load_state_dict(state, strict=False)

    def train(self, mode: bool = True) -> PretrainedNet:
        """Set the mode, except of what is frozen: it stays in evaluation mode."""
        super().train(mode)
        for name, module in self.body.named_modules():
            if name in self._in_evaluation:
                module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """N x 3 x H x W, H and W multiples of the largest reduction r, to N x channels x H/r x W/r each."""
        return list(self.body(x))


def _is_frozen(module: nn.Module) -> bool:
    """Whether a module has parameters of its own, and none of them is trained."""
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)


def frozen_names(where: str, frozen: int | Literal["all"], stages: Sequence[Collection[str]]) -> set[str]:
    """The parameters that a `frozen` field keeps as they are.

    Args:
        where: the field's name.
        stages: names of the parameters of each stage, fine to coarse.

    Raises:
        UserError: it is neither "all" nor a number of stages below all of them.
    """
    count = len(stages) if frozen == "all" else frozen
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UserError(f'{where} is {frozen!r}: use 0, a number of stages, or "all"')
    if frozen != "all" and count >= len(stages):
        raise UserError(f'{where} is {frozen}: the encoder has {len(stages)} stages; use less, or "all"')
    return {name for stage in stages[:count] for name in stage}


def check_fields(kind: str, rate: float, statistics: str) -> None:
    """Raise UserError unless the rate is above 0 and the statistics are among STATISTICS."""
    check_one_of(f"{kind}.statistics", statistics, STATISTICS)
    if not isinstance(rate, int | float) or not 0 < rate <= 1000:
        raise UserError(f'{kind}.rate is {rate!r}: use a share of the learning rate above 0, or frozen="all"')
