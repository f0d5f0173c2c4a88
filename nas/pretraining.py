"""`nas.pretrain`: an encoder pretrained on one's own images, as weights that a search starts from."""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.controller.images import load_images, with_groups
from nas.controller.pretrain_files import BEST, CURVE, read_record, write_record
from nas.controller.pretrain_images import PretrainImages, pretrain_images
from nas.controller.pretraining import STORED, Learnt, PretrainSession, learnt_text
from nas.controller.starting_weights import check_weights, log_weights
from nas.controller.timing import Clock
from nas.errors import UserError
from nas.interrupt import deferred, exit_message
from nas.logs import log_to_file
from nas.pool.devices import pick_device
from nas.runs.run import check_name, unused_folder
from nas.runs.settings import Settings, settings_of
from nas.space import find_space_file, is_open, load_space
from nas.weights_folder import weights_from
from nas.wording import duration

if TYPE_CHECKING:
    import pandas as pd

    from nas.controller.pretext_recipe import Chosen

__all__ = ["STEPS", "PretrainedWeights", "pretrain"]

log = logging.getLogger("nas")

STEPS = 2000
"""Default number of optimizer steps."""

LEAST_STEPS = 10
"""Smallest number of steps, since held-out images are scored ten times."""


@dataclass(frozen=True)
class PretrainedWeights:
    """A pretrained encoder, kept in a folder.

    Attributes:
        folder: the folder, which `weights=` of an encoder takes.
        use: the encoder in the code of a space, such as `encoder=Timm("resnet18", weights="runs/pretrain-1")`.
        steps: optimizer steps of the training.
        learnt: what each pretext task has learnt, on held-out images.
    """

    folder: Path
    use: str
    steps: int
    learnt: tuple[Learnt, ...]

    @property
    def checkpoint(self) -> Path:
        """Path of the weights."""
        return self.folder / BEST

    def frame(self) -> pd.DataFrame:
        """A table of the scores on held-out images: step, task, loss, accuracy and chance."""
        import pandas as pd

        return pd.read_csv(self.folder / CURVE)

    def __repr__(self) -> str:
        """Text such as `<PretrainedWeights runs/pretrain-1: 2000 steps, Jigsaw 4.16 -> 3.05; encoder=...>`."""
        losses = ", ".join(f"{each.task} {each.before:.3g} -> {each.after:.3g}" for each in self.learnt)
        return f"<PretrainedWeights {self.folder}: {self.steps} steps, {losses}; {self.use}>"


@deferred()
def pretrain(
    space: str | Path = "multitask.py",
    *,
    encoder: Any = None,
    weights: str | None = None,
    pretext: str | Sequence[Any] | None = None,
    steps: int = STEPS,
    batch: int | None = None,
    name: str | None = None,
    data: str = "scenes",
    labels: str | int | Path | None = None,
    unlabelled: str | None = None,
    size: int | str | tuple[int, int] | None = None,
    group_classes: str | Path | dict[str, Any] | None = None,
    holdout: bool = True,
    folds: int | None = None,
    seed: int = 0,
    device: str | None = None,
    weights_dir: str | Path | None = None,
    cache_gb: float = 4.0,
    resume: str | Path | None = None,
) -> PretrainedWeights:
    """Pretrain an encoder by pretext tasks on all images of a data set, and return its weights.

    The encoder is trained on the unlabelled images and on the labelled ones without their masks, never on those for
    ranking and testing. Give the settings of the data as for the search that follows, so that its splits are the same.
    Norm, optimizer, schedule and augmentation are those of the encoder's baseline, or else of the first one.

    Args:
        space: space file, or the name of a shipped one.
        encoder: the encoder to train: that of a baseline of the space, by its name; a timm network, by its name; or a
            component such as `nas.Timm("resnet18")`. None for the first baseline's.
        weights: what the encoder starts from: "imagenet", a file or a run, as in `nas.Timm(weights=...)`. None for what
            its component says.
        pretext: pretext tasks: names with optional weights such as "Rotation,Jigsaw:0.5", or components. None for the
            tasks of the space, each with weight 1 unless the space fixes it, or for all shipped ones if it has none.
        steps: optimizer steps.
        batch: images per step, divided among the tasks. None for all images of a step of the baseline.
        name: name of the folder under `runs/`. None for `pretrain-1`, `-2` and so on.
        data: data set, as for `nas.search`.
        labels: labelled images, as for `nas.search`.
        unlabelled: another set of unlabelled images, as for `nas.search`.
        size: height and width in pixels at which images are used, as for `nas.search`. None for the size at which a
            search of the space compares candidates.
        group_classes: fewer classes made of the set's own, as for `nas.search`.
        holdout: whether the search holds out images to rank candidates on. They are not used.
        folds: folds of the labelled images, as for `nas.search`.
        seed: seed of initialization, tasks, held-out images and the choice of labels.
        device: "cpu" or "cuda". None for the GPU if there is one.
        weights_dir: folder of pretrained weight files. None for that of the environment variable NAS_WEIGHTS.
        cache_gb: images that take more gigabytes (10^9 bytes) than this are kept on disk meanwhile.
        resume: folder of an interrupted pretraining, which continues with its own settings. Only `device` and
            `weights_dir` may be given beside it.

    Raises:
        UserError: the input is unusable, or the training diverges; nothing is left behind.
        KeyboardInterrupt: on Ctrl-C, within half a second; the pretraining can be resumed.
    """
    given = dict(locals())
    with weights_from(weights_dir):
        if resume is not None:
            _refuse_others(given)
            return _resume(Path(resume), device, weights_dir)
        settings, chosen, searched = _checked(given)
        check_name(name)
        data_set = load_images(settings, searched)
        session = _open(settings, chosen, pretrain_images(data_set, seed), device)
        folder = unused_folder("pretrain", name)
        folder.mkdir(parents=True)
        write_record(folder, session.record())
        try:
            return _execute(session, folder)
        except UserError:
            with suppress(OSError):
                shutil.rmtree(folder)
            raise


def _checked(given: dict[str, Any]) -> tuple[Settings, Chosen, bool]:
    """Check everything that needs no image; return settings, encoder and whether the space is open."""
    from nas.controller.pretext_recipe import choose_encoder, choose_tasks

    path = find_space_file(given["space"])
    settings = settings_of(**{**{name: given[name] for name in STORED}, "space": str(path.absolute())})
    if settings.full_steps < LEAST_STEPS:
        raise UserError(f"--steps {settings.steps}: give {LEAST_STEPS} or more")
    batch = given["batch"]
    if batch is not None and (not isinstance(batch, int) or isinstance(batch, bool) or batch < 1):
        raise UserError(f"--batch {batch}: give a whole number of 1 or more")
    pick_device(given["device"])
    space = load_space(path)
    tasks = choose_tasks(space, given["pretext"])
    chosen = choose_encoder(space, path.name, given["encoder"], given["weights"])
    recipe = replace(chosen.recipe, pretext=tasks)
    recipe = replace(recipe, unlabelled_batch=batch or recipe.labelled_batch + recipe.unlabelled_batch)
    check_weights(recipe)
    return with_groups(settings), replace(chosen, recipe=recipe), is_open(space)


def _refuse_others(given: dict[str, Any]) -> None:
    """Raise UserError if a setting is given that a resumed pretraining keeps."""
    defaults = {name: parameter.default for name, parameter in signature(pretrain).parameters.items()}
    fixed = [n for n, value in given.items() if value != defaults[n] and n not in ("resume", "device", "weights_dir")]
    if fixed:
        option = {"holdout": "no-holdout"}.get(fixed[0], fixed[0].replace("_", "-"))
        raise UserError(f"--{option} cannot change when a pretraining is resumed: start a new one for that")


def _resume(folder: Path, device: str | None, weights_dir: str | Path | None) -> PretrainedWeights:
    """Continue the pretraining of a folder."""
    if (folder / BEST).exists():
        raise UserError(f"{folder} is finished: use it as weights, or start a new pretraining")
    settings, chosen, digest = read_record(folder)
    images = pretrain_images(load_images(settings), settings.seed)
    if images.digest() != digest:
        raise UserError(
            f"{images.data.name} does not hold the images that {folder} began with: put them back, or start a new one"
        )
    with weights_from(weights_dir or settings.weights_dir):
        return _execute(_open(settings, chosen, images, device), folder)


def _open(settings: Settings, chosen: Chosen, images: PretrainImages, device: str | None) -> PretrainSession:
    settings = replace(settings, size=images.data.size)
    return PretrainSession.open(settings, chosen, images, str(pick_device(device)))


def _execute(session: PretrainSession, folder: Path) -> PretrainedWeights:
    """Train to the end and log what was learnt. When interrupted, say how to resume."""
    clock = Clock()
    log_to_file(folder / "pretrain.log")
    for line in session.headline():
        log.info("%s", line)
    log_weights(session.chosen.recipe)
    stopped = f"Stopped. Resume with: nas-pretrain --resume {shlex.quote(str(folder))}"
    try:
        with exit_message(stopped):
            learnt = session.execute(folder)
    except KeyboardInterrupt:
        log.info("%s", stopped)
        raise
    for line in learnt_text(learnt, session.images).splitlines():
        log.info("%s", line)
    log.info("Done in %s: %s", duration(clock.elapsed()), folder / BEST)
    use = f"encoder={session.chosen.use(str(folder))}"
    log.info("In a space, for the encoder of %s: %s", session.chosen.name, use)
    return PretrainedWeights(folder, use, session.settings.full_steps, learnt)
