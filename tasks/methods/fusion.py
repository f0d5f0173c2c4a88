"""Fusion: a segmentation method and a classification branch side by side, the branch with a veto."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from nas.models import Network
from nas.space.component import Component, SpaceError
from nas.space.domains import Choice, Domain
from nas.tasks.methods.mlmt import MLMT, Branch
from nas.tasks.methods.s4gan import S4GAN
from nas.tasks.methods.semi_supervised import SemiSupervised

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["Fused", "Fusion"]


@dataclass(frozen=True)
class Fusion(SemiSupervised):
    """Both branches of Mittal et al. (2019), or any segmentation method with their classification branch.

    The two are trained in the same steps, their losses added. What the segmentation method
    evaluates then predicts under the branch's veto. Without unlabelled images it is supervised
    training without a veto.

    Raises:
        SpaceError: a branch or a segmentation method that does not fit.

    Attributes:
        segmentation: how unlabelled images help segmentation, any method but MLMT and Fusion.
        branch: an MLMT, whose threshold is the veto's.
    """

    segmentation: Any = field(default_factory=S4GAN)
    branch: Any = field(default_factory=MLMT)

    def __post_init__(self) -> None:
        for branch in _options(self.branch):
            if not isinstance(branch, MLMT):
                raise SpaceError(f"Fusion: branch is {_name(branch)}, it must be MLMT")
        for method in _options(self.segmentation):
            if isinstance(method, MLMT | Fusion) or not isinstance(method, Component):
                name = _name(method)
                raise SpaceError(f"Fusion: segmentation is {name}, it must be a method other than MLMT and Fusion")

    @property
    def averages(self) -> bool:  # type: ignore[override]
        """As the segmentation method does."""
        return bool(self.segmentation.averages)

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """The segmentation method's, and that there is no veto where nothing is unlabelled."""
        if not unlabelled:
            return f"{super().advice(labelled, unlabelled)}, without a veto"
        if isinstance(self.segmentation, Domain):
            return None
        advice: str | None = self.segmentation.advice(labelled, unlabelled)
        return advice

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """What either method owns."""
        segmentation = self.segmentation.build(network, classes)
        return Fused(segmentation, cast(Branch, self.branch.build(network, classes)))

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """The sum of both methods' losses, and the numbers of both."""
        both = cast(Fused, own)
        segmentation, of_it = self.segmentation.loss(both.segmentation, network, batch, logits, progress)
        branch, of_branch = self.branch.loss(both.branch, network, batch, logits, progress)
        return segmentation + branch, {**of_it, **of_branch}

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Both methods' updates."""
        both = cast(Fused, own)
        self.segmentation.update(both.segmentation, network, batch, step)
        self.branch.update(both.branch, network, batch, step)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """The segmentation method's, with the branch's veto."""
        both = cast(Fused, own)
        vetoed: Network = self.branch.predictor(both.branch, self.segmentation.predictor(both.segmentation, network))
        return vetoed

    def inference(self, network: Network) -> Network:
        """An untrained one of the segmentation method, with an untrained veto."""
        vetoed: Network = self.branch.inference(self.segmentation.inference(network))
        return vetoed


class Fused(nn.Module):
    """What the two methods own."""

    def __init__(self, segmentation: nn.Module | None, branch: Branch) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.branch = branch


def _options(field_value: Any) -> tuple[Any, ...]:
    """What the field may turn out to hold."""
    return tuple(field_value.options) if isinstance(field_value, Choice) else (field_value,)


def _name(value: Any) -> str:
    return type(value).__name__
