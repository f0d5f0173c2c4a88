"""Pretrains an encoder on the images of a data set, and keeps its weights in a folder."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas import __version__, interrupt
from nas.controller.pretext_recipe import Chosen
from nas.controller.pretrain_files import BEST, STATE, read_curve, write_curve, write_record
from nas.controller.pretrain_images import PretrainImages
from nas.controller.progress import StepProgress
from nas.errors import UserError
from nas.pool.worker import is_out_of_memory
from nas.runs.settings import Settings
from nas.space import to_json
from nas.wording import counted

if TYPE_CHECKING:
    from nas.training.pretext import PretextScore
    from nas.training.pretraining import Pretraining

__all__ = ["STORED", "Learnt", "PretrainSession", "learnt_text"]

log = logging.getLogger("nas")

SCORES = 10
"""Times that the held-out images are scored, beside the start."""

STATE_EVERY = 60.0
"""Seconds after which the state is saved again."""

HARDLY = 0.03
"""Share by which the loss of a task must fall for it to have learnt something."""

TOO_LARGE = "a step needs more memory than there is: give a smaller --batch or --size"

STORED = (
    *("space", "data", "labels", "unlabelled", "size", "group_classes", "holdout", "folds"),
    *("seed", "steps", "cache_gb", "weights_dir"),
)
"""Settings that a pretraining uses."""


@dataclass(frozen=True)
class Learnt:
    """What a pretext task has learnt, on held-out images.

    Attributes:
        task: name of the task.
        weight: weight of its loss.
        before: loss before the training.
        after: loss after it.
        accuracy: accuracy after it; None for a task that is no classification.
        chance: accuracy without learning.
    """

    task: str
    weight: float
    before: float
    after: float
    accuracy: float | None
    chance: float | None

    @property
    def hardly(self) -> bool:
        """Whether the loss has hardly fallen."""
        return self.after > (1 - HARDLY) * self.before


@dataclass
class PretrainSession:
    """One session of a pretraining.

    Attributes:
        settings: settings, with the number of steps and the size decided.
        chosen: the encoder, with the recipe of its training.
        images: the images.
        training: the training, not begun.
        scores: scores of the held-out images so far, by step.
    """

    settings: Settings
    chosen: Chosen
    images: PretrainImages
    training: Pretraining
    scores: dict[int, list[PretextScore]] = field(default_factory=dict)

    @classmethod
    def open(cls, settings: Settings, chosen: Chosen, images: PretrainImages, device: str) -> PretrainSession:
        """Build the network, and score the held-out images, so that mistakes in tasks show before a folder is made.

        Raises:
            UserError: the network or a task cannot be used.
        """
        import torch

        from nas.controller.tryout import reason_of
        from nas.training import Plan
        from nas.training.images import Images, JoinedImages
        from nas.training.pretraining import Pretraining

        place = torch.device(device)
        joined = JoinedImages([Images(images.data.labelled, place), Images(images.data.unlabelled, place)])
        plan = Plan(settings.full_steps, (), settings.seed, device)
        try:
            training = Pretraining(chosen.recipe, joined, images.trained, images.held_out, plan)
            first = training.scores(interrupt.check)
        except (Exception, SystemExit) as error:  # tasks may be user code
            reason = TOO_LARGE if is_out_of_memory(error) else reason_of(error)
            raise UserError(f"the encoder of {chosen.name} cannot be trained: {reason}") from error
        return cls(settings, chosen, images, training, {0: first})

    def headline(self) -> list[str]:
        """What is trained on which images, in a few lines."""
        recipe, data = self.chosen.recipe, self.images.data
        tasks = ", ".join(f"{type(task).__name__} {task.weight:g}" for task in recipe.pretext)
        lines = [
            f"Pretraining the encoder of {self.chosen.name} on {self.images.described()}.",
            f"{self.settings.full_steps} steps of {counted(recipe.unlabelled_batch, 'image')}, divided among the tasks "
            f"(and their weights): {tasks}.",
        ]
        if not len(data.unlabelled):
            lines.append("There are no unlabelled images: photos without masks would help.")
        if data.folds:
            lines.append("A search ranks on folds of the labelled images: the encoder sees them, but not their masks.")
        return lines

    def record(self) -> dict[str, Any]:
        """What is trained, JSON-ready."""
        return {
            "toolkit": f"fewlabel-nas {__version__}",
            "settings": {name: getattr(self.settings, name) for name in STORED},
            "encoder": {"name": self.chosen.name, "code": self.chosen.code},
            "recipe": json.loads(to_json(self.chosen.recipe)),
            "images": {**self.images.counts(), "digest": self.images.digest()},
        }

    def execute(self, folder: Path) -> tuple[Learnt, ...]:
        """Train to the end, and write the encoder and what was learnt into the folder.

        Raises:
            UserError: the training diverges, or the memory does not suffice.
            KeyboardInterrupt: interrupted; the state is kept.
        """
        self._restore(folder)
        self._train(folder)
        self.training.compute_statistics(interrupt.check)
        learnt = self._learnt()
        self._save(folder, learnt)
        return learnt

    def _restore(self, folder: Path) -> None:
        """Continue where an earlier session has saved its state."""
        if (folder / STATE).exists():
            self.training.step = self.training.state().read(folder / STATE)
            earlier = read_curve(folder)
            self.scores = {step: scores for step, scores in earlier.items() if step <= self.training.step}
            log.info("Continuing after step %d of %d.", self.training.step, self.settings.full_steps)

    def _train(self, folder: Path) -> None:
        training, steps = self.training, self.settings.full_steps
        scored = {steps * i // SCORES for i in range(1, SCORES + 1)}
        progress = StepProgress(steps, training.step, "Pretraining")
        saved = time.monotonic()
        try:
            while training.step < steps:
                self._check_interrupt(folder)
                _advance(training)
                if training.step in scored:
                    self.scores[training.step] = training.scores(interrupt.check)
                if training.step in scored or time.monotonic() - saved >= STATE_EVERY:
                    self._save_state(folder)
                    saved = time.monotonic()
                progress.show(training.step)
        finally:
            progress.close()

    def _check_interrupt(self, folder: Path) -> None:
        try:
            interrupt.check()
        except KeyboardInterrupt:
            self._save_state(folder)
            raise

    def _save_state(self, folder: Path) -> None:
        write_curve(folder, self.scores)
        self.training.state().write(folder / STATE, self.training.step)

    def _learnt(self) -> tuple[Learnt, ...]:
        first, last = self.scores[0], self.scores[self.settings.full_steps]
        return tuple(
            Learnt(task.task, part.weight, before.loss, task.loss, task.accuracy, task.chance)
            for part, before, task in zip(self.chosen.recipe.pretext, first, last, strict=True)
        )

    def _save(self, folder: Path, learnt: Sequence[Learnt]) -> None:
        from nas.export import save_encoder

        record = {**self.record(), "tasks": [asdict(each) for each in learnt]}
        save_encoder(folder / BEST, self.training.network.encoder, record)
        write_record(folder, record)
        (folder / STATE).unlink(missing_ok=True)


def _advance(training: Pretraining) -> None:
    """Take a step.

    Raises:
        UserError: the training diverges, or the memory does not suffice.
    """
    from nas.training import TrainingError

    try:
        training.advance()
    except TrainingError as error:
        raise UserError(f"the pretraining diverges: {error}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise UserError(TOO_LARGE) from error
        raise


def learnt_text(learnt: Sequence[Learnt], images: PretrainImages) -> str:
    """Format what was learnt as a table, with a line for each task that has hardly learnt anything."""
    wide = max(len("task"), *(len(each.task) for each in learnt))
    lines = [f"On the {len(images.held_out)} held-out images:"]
    lines.append(f"  {'task':<{wide}}  weight  loss before   after  accuracy")
    for each in learnt:
        right = "" if each.accuracy is None else f"{each.accuracy:8.2f} (chance {each.chance:.2f})"
        row = f"  {each.task:<{wide}}  {each.weight:6g}  {each.before:11.4f}  {each.after:6.4f}  {right}"
        lines.append(row.rstrip())
    hint = "has hardly learnt: give more --steps, or leave it out of --pretext."
    lines += [f"{each.task} {hint}" for each in learnt if each.hardly]
    return "\n".join(lines)
