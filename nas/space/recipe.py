"""Recipe: everything that defines how one network is built and trained, open or closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from nas.space.component import Component, SpaceError

__all__ = ["Joint", "PretrainThenFinetune", "Recipe"]


@dataclass(frozen=True)
class Joint(Component):
    """Pretext tasks are trained together with segmentation, in every step."""


@dataclass(frozen=True)
class PretrainThenFinetune(Component):
    """Pretext tasks alone for the first `fraction` of the steps, then segmentation alone (transfer)."""

    fraction: float = 0.3


@dataclass(frozen=True)
class Recipe(Component):
    """One candidate when closed, a search space when any field is left open.

    Attributes:
        encoder: stages that turn an image into features.
        decoder: what turns features into a class map.
        norm: "batch", "instance", "layer", "group" or "switch"; Norms(encoder, decoder) to set them apart.
        loss: the segmentation loss.
        pretext: self-supervised tasks on the shared encoder, each with its weight.
        curriculum: Joint(), or PretrainThenFinetune(fraction).
        pretext_statistics: "clean": corrupted inputs leave running norm statistics alone; "shared": they update them
            too, by which evaluation on clean images may lose points (7 with denoising on CamVid).
        method: how unlabelled images help segmentation.
        optimizer: SGD, Adam or AdamW, with its settings.
        schedule: how the learning rate falls: Poly, Cosine or Constant, with warm-up.
        augment: flips, scales, crops and colours.
        labelled_batch: labelled images a step.
        unlabelled_batch: unlabelled images a step.
        clip: largest gradient norm, or None.
        ema: decay of an average of the weights that is evaluated in their place, or None.
        baselines: closed recipes tried first, so that a search never ends below them; not part of a candidate.
        baseline_names: what the space file calls them, in order; found by `load_space`.
        constraints: tests a candidate must pass before it is trained; not part of a candidate.
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
    baselines: tuple[Recipe, ...] = field(default=(), metadata={"aside": True})
    baseline_names: tuple[str, ...] = field(default=(), metadata={"aside": True})
    constraints: tuple[Callable[[Recipe], bool], ...] = field(default=(), metadata={"aside": True})

    def where(self, constraint: Callable[[Recipe], bool]) -> Recipe:
        """The same space, holding only candidates for which `constraint` is true.

        Raises:
            SpaceError: when it is no function.
        """
        if not callable(constraint):
            raise SpaceError(f"where: {constraint!r} is no function of a candidate: .where(lambda candidate: ...)")
        return replace(self, constraints=(*self.constraints, constraint))

    def candidate(self) -> Recipe:
        """The recipe alone, without baselines and constraints."""
        return replace(self, baselines=(), baseline_names=(), constraints=())

    def baseline_name(self, number: int) -> str:
        """The name of a baseline, or "baseline 0" for one that the space file gives no name."""
        name = self.baseline_names[number] if number < len(self.baseline_names) else ""
        return name or f"baseline {number}"

    def canonical(self) -> Recipe:
        pretext = tuple(sorted((t for t in self.pretext if t.weight > 0), key=repr))
        without: dict[str, Any] = {} if pretext else {"curriculum": Joint(), "pretext_statistics": "clean"}
        if not pretext and not getattr(self.method, "needs_unlabelled", True):
            without["unlabelled_batch"] = 0
        if getattr(self.method, "averages", False):
            without["ema"] = None
        if getattr(self.encoder, "own_norm", False):
            # An encoder that brings its norms leaves the recipe's to the decoder.
            has_norm = getattr(self.decoder, "has_norm", True)
            without["norm"] = getattr(self.norm, "decoder", self.norm) if has_norm else "batch"
        return replace(self, pretext=pretext, **without)
