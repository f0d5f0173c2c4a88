"""CutMix: mean teacher on unlabelled images into which boxes of other images are pasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nas.models import Network
from nas.space.checks import check_one_of
from nas.tasks.methods.confidence import ConfidentTeacherMethod, confident_pixels
from nas.tasks.methods.mixing import boxes, mixed
from nas.tasks.methods.teacher import Teacher, squared_difference
from nas.training.batch import cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["CutMix"]

TARGETS = ("soft", "hard")


@dataclass(frozen=True)
class CutMix(ConfidentTeacherMethod):
    """CutMix with a mean teacher (French et al. 2020).

    The teacher predicts the original images. Images and predictions are mixed with the same box of half the area. The
    student's loss on mixed images is multiplied by the share of confident pixels.

    Attributes:
        target: "soft" for the squared difference of probabilities, as in the paper, or "hard" for cross-entropy with
            the teacher's class.
    """

    confidence: float = 0.97
    target: str = "soft"

    def build(self, network: Network, classes: int) -> nn.Module | None:
        """Build the teacher."""
        check_one_of("method.target", self.target, TARGETS)
        return super().build(network, classes)

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute the consistency loss on mixed images, times the share of confident pixels."""
        box = boxes(len(images), images.shape[-2], images.shape[-1], batch.generator).to(
            images.device, non_blocking=True
        )
        target = mixed(cast(Teacher, own).predict(images), box)
        # Mixed images consist of unchanged pixels, so they may update running statistics.
        student = network(mixed(images, box))
        confident = confident_pixels(target, self.confidence).float().mean()
        if self.target == "soft":
            difference = squared_difference(student, target)
        else:
            difference = cross_entropy(student, predicted_classes(target))
        return self.weight * confident * difference, {"loss.consistency": difference.detach(), "confident": confident}
