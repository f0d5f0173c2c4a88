"""ClassMix: mean teacher on unlabelled images into which classes of other images are pasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nas.models import Network
from nas.tasks.methods.confidence import ConfidentTeacherMethod, confident_pixels
from nas.tasks.methods.mixing import class_masks, mixed, partners
from nas.tasks.methods.teacher import Teacher
from nas.training.batch import cross_entropy
from nas.training.compute import predicted_classes

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["ClassMix"]


@dataclass(frozen=True)
class ClassMix(ConfidentTeacherMethod):
    """ClassMix (Olsson et al. 2021): mixing masks follow the teacher's predictions.

    Half of the classes that the teacher predicts in an image are pasted, with their pixels, into the next image. The
    student learns the teacher's classes of the mixed image by cross-entropy. The loss is multiplied by the share of
    confident pixels, which is small early in the training.
    """

    confidence: float = 0.968

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute cross-entropy with the teacher's classes on mixed images, times the share of confident pixels."""
        probabilities = cast(Teacher, own).predict(images)
        pasted = class_masks(predicted_classes(probabilities), probabilities.shape[1], batch.generator)
        mask = partners(pasted)
        target = mixed(probabilities, mask)
        # Mixed images consist of unchanged pixels, so they may update running statistics.
        student = network(mixed(images, mask))
        difference = cross_entropy(student, predicted_classes(target))
        confident = confident_pixels(target, self.confidence).float().mean()
        return self.weight * confident * difference, {"loss.consistency": difference.detach(), "confident": confident}
