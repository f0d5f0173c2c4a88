"""FixMatch: learn the classes of a confident teacher on strong views of unlabelled images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.tasks.methods.confidence import ConfidentTeacherMethod, confident_cross_entropy
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import Teacher

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["FixMatch"]


@dataclass(frozen=True)
class FixMatch(ConfidentTeacherMethod):
    """FixMatch (Sohn et al. 2020) for each pixel.

    The teacher predicts a weak view, and the student learns the confident classes on a strong view of the same image.
    In the paper, pseudo-labels come from the current weights, and averaged weights are only evaluated. Here they come
    from the averaged weights, which is more stable in short trainings.
    """

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute cross-entropy of the strong view with the weak view's confident classes."""
        target = cast(Teacher, own).predict(images)
        # Strong views differ from the images of evaluation, and must not update running statistics. With domain
        # adaptation they must, because the statistics of the labelled domain are worse.
        with running_statistics_frozen(network, not batch.shifted):
            student = network(strong_view(images, batch.generator))
        loss, confident = confident_cross_entropy(student, target, self.confidence)
        return self.weight * loss, {"loss.consistency": loss.detach(), "confident": confident}
