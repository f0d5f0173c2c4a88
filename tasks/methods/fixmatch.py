"""FixMatch: learn the classes of a confident teacher from images whose colours are strongly changed."""

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
    """FixMatch (Sohn et al. 2020), pixel by pixel.

    A weak view is labelled, and the student learns the confident labels in a strong view of the
    same image. The paper labels by the network's present weights and averages them for evaluation
    alone; here the average labels too, which is steadier in a short training.
    """

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Cross-entropy of the strong view with the weak view's confident classes, a mean over all pixels."""
        target = cast(Teacher, own).predict(images)
        # Jittered colours and noise are not what the running statistics will meet at evaluation; those of other
        # images than it will meet are worse.
        with running_statistics_frozen(network, not batch.shifted):
            student = network(strong_view(images, batch.generator))
        loss, confident = confident_cross_entropy(student, target, self.confidence)
        return self.weight * loss, {"loss.consistency": loss.detach(), "confident": confident}
