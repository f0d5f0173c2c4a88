"""ClassMix: a mean teacher whose student sees whole classes of one unlabelled image pasted into another."""

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
    """ClassMix (Olsson et al. 2021): masks that follow what the teacher sees, not boxes.

    Half of the classes that the teacher finds in an image are pasted, with their pixels, into the
    next one. The student learns the teacher's classes on the mix by cross-entropy, scaled by the
    share of pixels the teacher is confident of, which is small while it knows little.
    """

    confidence: float = 0.968

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Cross-entropy with the teacher's classes on mixed images, times its share of confident pixels."""
        probabilities = cast(Teacher, own).predict(images)
        pasted = class_masks(predicted_classes(probabilities), probabilities.shape[1], batch.generator)
        mask = partners(pasted)
        target = mixed(probabilities, mask)
        # A mix is of pixels as they are, so the running statistics may learn from it.
        student = network(mixed(images, mask))
        difference = cross_entropy(student, predicted_classes(target))
        confident = confident_pixels(target, self.confidence).float().mean()
        return self.weight * confident * difference, {"loss.consistency": difference.detach(), "confident": confident}
