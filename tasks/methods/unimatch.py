"""UniMatch: FixMatch with two strong views and a third stream with feature dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from nas.models import Network, running_statistics_frozen
from nas.tasks.methods.confidence import ConfidentTeacherMethod, confident_cross_entropy
from nas.tasks.methods.dropout import channel_dropout
from nas.tasks.methods.mixing import boxes, mixed
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import Teacher

if TYPE_CHECKING:
    from nas.training.batch import Batch, Logs

__all__ = ["UniMatch"]

# Shares of the loss: of the stream with feature dropout, and of each strong view.
FEATURES = 0.5
VIEWS = (0.25, 0.25)


@dataclass(frozen=True)
class UniMatch(ConfidentTeacherMethod):
    """UniMatch (Yang et al. 2023): the teacher's confident classes of the weak view are learnt in three streams.

    Two streams are strong views that are also mixed by boxes (CutMix), each with a quarter of the loss. The third is
    the weak view with half of the encoder's channels dropped, with half of the loss. Pseudo-labels come from the
    averaged network, as in UniMatch V2 (2025); in the first paper, from the network itself. A step costs about as much
    as two of FixMatch.
    """

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Compute cross-entropy with the confident classes: 1/2 feature dropout + 1/4 + 1/4 strong views."""
        size = (images.shape[-2], images.shape[-1])
        target = cast(Teacher, own).predict(images)
        # Strong views and feature dropout differ from evaluation, and must not update running statistics, except with
        # domain adaptation.
        with running_statistics_frozen(network, not batch.shifted):
            dropped = [channel_dropout(feature, batch.generator) for feature in network.features(images)]
            features, confident = confident_cross_entropy(network.decode(dropped, size), target, self.confidence)
            views = features.new_zeros(())
            for share in VIEWS:
                box = boxes(len(images), *size, batch.generator).to(images.device, non_blocking=True)
                student = network(mixed(strong_view(images, batch.generator), box))
                view, _ = confident_cross_entropy(student, mixed(target, box), self.confidence)
                views = views + share * view
        return self.weight * (FEATURES * features + views), {
            "loss.views": views.detach() / sum(VIEWS),
            "loss.features": features.detach(),
            "confident": confident,
        }
