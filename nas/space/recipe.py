"""Recipe: everything that defines how a network is built and trained, open or closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nas.space.component import Component, SpaceError

__all__ = ["Joint", "PretrainThenFinetune", "Recipe"]


@dataclass(frozen=True)
class Joint(Component):
    """Train the pretext tasks together with segmentation, in every step."""


@dataclass(frozen=True)
class PretrainThenFinetune(Component):
    """Train only the pretext tasks for the first `fraction` of the steps, then only segmentation (transfer)."""

    fraction: float = 0.3


@dataclass(frozen=True)
class Recipe(Component):
    """A candidate when closed, a search space when any field is open.

    Attributes:
        encoder: stages that turn an image into features.
        decoder: network part that turns features into a class map.
        norm: "batch", "instance", "layer", "group" or "switch"; Norms(encoder, decoder) to set them separately.
        loss: the segmentation loss.
        pretext: self-supervised tasks on the shared encoder, each with a weight.
        curriculum: Joint(), or PretrainThenFinetune(fraction).
        pretext_statistics: whether inputs of pretext tasks update the running statistics of norms. "clean": they do
            not; "shared": they do, which may cost points on clean images (7 with denoising on CamVid).
        method: how unlabelled images help segmentation.
        optimizer: SGD, Adam or AdamW, with its settings.
        schedule: learning-rate schedule: Poly, Cosine or Constant, with warm-up.
        augment: flips, scales, crops and colours.
        labelled_batch: labelled images per step.
        unlabelled_batch: unlabelled images per step.
        clip: maximum gradient norm, or None.
        ema: decay of an exponential moving average of the weights, which is evaluated in their place; or None.
        scales: sizes at which the network sees an image, as shares of its height and width, in training and afterwards.
            The output is the maximum of the logits of all scales, at each position and class; the loss is summed over
            this maximum and each scale. (0.5, 0.75, 1.0) are the multi-scale inputs of DeepLabv2.
        baselines: closed recipes tried first, so that a search never ends below them; not part of a candidate.
        baseline_names: variables of the baselines in the space file, in order; set by `load_space`.
        constraints: predicates that a candidate must meet to be trained; not part of a candidate.
    """

    encoder: Any
    decoder: Any
    norm: Any = "batch"
    loss: Any = None
    pretext: tuple[Any, ...] = ()
    curriculum: Joint | PretrainThenFinetune = Joint()
    pretext_statistics: Literal["clean", "shared"] = "clean"
    method: Any = None
    optimizer: Any = None
    schedule: Any = None
    augment: Any = None
    labelled_batch: int = 8
    unlabelled_batch: int = 8
    clip: float | None = None
    ema: float | None = None
    scales: tuple[float, ...] = field(default=(1.0,), metadata={"omit_default": True})
    baselines: tuple[Recipe, ...] = field(default=(), metadata={"excluded": True})
    baseline_names: tuple[str, ...] = field(default=(), metadata={"excluded": True})
    constraints: tuple[Callable[[Recipe], bool], ...] = field(default=(), metadata={"excluded": True})

    def where(self, constraint: Callable[[Recipe], bool]) -> Recipe:
        """Return the space restricted to candidates for which `constraint` is true.

        Raises:
            SpaceError: `constraint` is not a function.
        """
        if not callable(constraint):
            raise SpaceError(f"where: {constraint!r} is not a function: write .where(lambda candidate: ...)")
        return replace(self, constraints=(*self.constraints, constraint))

    def candidate(self) -> Recipe:
        """The recipe alone, without baselines and constraints."""
        return replace(self, baselines=(), baseline_names=(), constraints=())

    def baseline_name(self, number: int) -> str:
        """The name of a baseline, or "baseline 0" where the space file has no variable for it."""
        name = self.baseline_names[number] if number < len(self.baseline_names) else ""
        return name or f"baseline {number}"

    @property
    def caches_features(self) -> bool:
        """Whether a training reads the features of its encoder from a cache, for a fixed set of views of each image.

        It does with an encoder that is `frozen="cached"`, if there is no pretext task and no second scale, and the
        method itself reads no images. Elsewhere "cached" is the same as "all".
        """
        wanted = getattr(self.encoder, "frozen", None) == "cached"
        reads_images = any(task.weight > 0 for task in self.pretext) or getattr(self.method, "needs_images", True)
        return wanted and not reads_images and self.scales == Recipe.scales

    def canonical(self) -> Recipe:
        pretext = tuple(sorted((t for t in self.pretext if t.weight > 0), key=repr))
        unused: dict[str, Any] = {} if pretext else {"curriculum": Joint(), "pretext_statistics": "clean"}
        unused["scales"] = tuple(sorted(self.scales))
        if not pretext and not getattr(self.method, "needs_unlabelled", True):
            unused["unlabelled_batch"] = 0
        if getattr(self.method, "averages", False):
            unused["ema"] = None
        if getattr(self.encoder, "own_norm", False):
            # The recipe's norm applies to the decoder only where the encoder has its own.
            has_norm = getattr(self.decoder, "has_norm", True)
            unused["norm"] = getattr(self.norm, "decoder", self.norm) if has_norm else "batch"
        if getattr(self.encoder, "frozen", None) == "cached" and not self.caches_features:
            unused["encoder"] = replace(self.encoder, frozen="all")
        return replace(self, pretext=pretext, **unused)
