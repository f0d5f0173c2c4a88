"""Fusion: a segmentation method together with a classification branch that vetoes classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from nas.models import Network
from nas.space.component import Component, SpaceError
from nas.space.domains import Domain, values_of
from nas.tasks.methods.mlmt import MLMT, Branch
from nas.tasks.methods.s4gan import S4GAN
from nas.tasks.methods.semi_supervised import SemiSupervised

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["Fused", "Fusion"]


@dataclass(frozen=True)
class Fusion(SemiSupervised):
    """Both branches of Mittal et al. (2019), or any segmentation method with their classification branch.

    Both are trained in the same steps, with the sum of their losses. The evaluated network is that of the segmentation
    method, with the branch's veto. Without unlabelled images, training is supervised, without a veto.

    Attributes:
        segmentation: any method except MLMT and Fusion.
        branch: an MLMT.

    Raises:
        SpaceError: another kind of branch or segmentation method.
    """

    segmentation: Any = field(default_factory=S4GAN)
    branch: Any = field(default_factory=MLMT)

    def __post_init__(self) -> None:
        for branch in values_of(self.branch):
            if not isinstance(branch, MLMT):
                raise SpaceError(f"Fusion: branch is {_name(branch)}, it must be MLMT")
        for method in values_of(self.segmentation):
            if isinstance(method, MLMT | Fusion) or not isinstance(method, Component):
                name = _name(method)
                raise SpaceError(f"Fusion: segmentation is {name}, it must be a method other than MLMT and Fusion")

    @property
    def averages(self) -> bool:  # type: ignore[override]
        """Whether the segmentation method evaluates its own average."""
        return bool(self.segmentation.averages)

    def advice(self, labelled: int, unlabelled: int) -> str | None:
        """Return the advice of the segmentation method, or warn that there is no veto without unlabelled images."""
        if not unlabelled:
            return f"{super().advice(labelled, unlabelled)}, without a veto"
        if isinstance(self.segmentation, Domain):
            return None
        advice: str | None = self.segmentation.advice(labelled, unlabelled)
        return advice

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the modules of both methods."""
        segmentation = self.segmentation.build(network, classes)
        return Fused(segmentation, cast(Branch, self.branch.build(network, classes)))

    def loss(
        self, own: nn.Module | None, network: Network, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the sum of both losses, and the numbers to log of both."""
        both = cast(Fused, own)
        segmentation, logs = self.segmentation.loss(both.segmentation, network, batch, logits, progress)
        branch, branch_logs = self.branch.loss(both.branch, network, batch, logits, progress)
        return segmentation + branch, {**logs, **branch_logs}

    def update(self, own: nn.Module | None, network: Network, batch: Batch, step: int) -> None:
        """Update both methods."""
        both = cast(Fused, own)
        self.segmentation.update(both.segmentation, network, batch, step)
        self.branch.update(both.branch, network, batch, step)

    def predictor(self, own: nn.Module | None, network: Network) -> Network:
        """Return the predictor of the segmentation method, with the branch's veto."""
        both = cast(Fused, own)
        vetoed: Network = self.branch.predictor(both.branch, self.segmentation.predictor(both.segmentation, network))
        return vetoed

    def inference(self, network: Network) -> Network:
        """Return an untrained predictor of the segmentation method, with an untrained veto."""
        vetoed: Network = self.branch.inference(self.segmentation.inference(network))
        return vetoed


class Fused(nn.Module):
    """The modules of both methods."""

    def __init__(self, segmentation: nn.Module | None, branch: Branch) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.branch = branch


def _name(value: Any) -> str:
    return type(value).__name__
