"""UniMatch: FixMatch with two strong views, and a third stream whose features are changed in place of its images."""

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

# Shares of the loss: of the stream with dropped features, and of each strong view.
FEATURES = 0.5
VIEWS = (0.25, 0.25)


@dataclass(frozen=True)
class UniMatch(ConfidentTeacherMethod):
    """UniMatch (Yang et al. 2023): the classes of the weak view are learnt in three ways at once.

    In two strong views, jittered in colour and mixed by boxes, each a quarter of the loss, and in
    the weak view with half of the encoder's channels dropped, the other half of it. Only confident
    pixels count. The labels are those of the averaged network, as in the authors' UniMatch V2
    (2025), where the first paper takes the network's own. A step costs about two of FixMatch.
    """

    def unlabelled_loss(
        self, own: nn.Module | None, network: Network, images: Tensor, batch: Batch, logits: Tensor, progress: float
    ) -> tuple[Tensor, Logs]:
        """Cross-entropies with the confident classes, means over all pixels: 1/2 features + 1/4 + 1/4 views."""
        size = (images.shape[-2], images.shape[-1])
        target = cast(Teacher, own).predict(images)
        # Neither jittered colours nor features with holes are what the running statistics will meet at evaluation.
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
