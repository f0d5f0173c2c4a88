"""Tries the options of a space before its search starts, so that one that never works is reported early."""

from __future__ import annotations

import gc
import logging
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas.controller.constraints import broken_constraint
from nas.controller.explore import MAX_FRUITLESS
from nas.errors import UserError
from nas.interrupt import check
from nas.pool.worker import is_out_of_memory, one_line
from nas.space import Choice, Joint, Recipe, close, draw, is_open, parameters
from nas.space.local_modules import user_line

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_constraints", "check_options", "reason_of", "take_a_step", "try_candidate"]

log = logging.getLogger("nas")

MAX_CANDIDATES, MAX_SECONDS = 40, 10.0
"""Limits on trying candidates until every option was in one. Most spaces need a dozen, in a second or two."""

RETRIES, RETRY_SECONDS = 20, 10.0
"""Limits on retrying an option that has failed, in other candidates."""

IMAGES, SIDE = 2, 64
"""Number of images that a step is tried on, and the maximum number of pixels per side."""

Option = tuple[str, Any]
"""A path, with `*` for the number of a stage, and the label of an option there."""


def try_candidate(candidate: Recipe, data: Any) -> None:
    """Run a candidate's network, and train the candidate for one step.

    Raises:
        Exception: any error of one of its parts.
    """
    from nas.training import cost

    cost(candidate, data.size, len(data.classes))
    take_a_step(candidate, data)


def take_a_step(candidate: Recipe, data: Any) -> None:
    """Train one step with the candidate's loss, tasks, method, optimizer, schedule and augmentation.

    The network is a small one; if that fails, the candidate's own, on larger images.

    Raises:
        Exception: any error of one of the parts with the candidate's own network.
    """
    from nas.models import Encoder, Stage, UNet

    small = replace(candidate, encoder=Encoder(stages=(Stage(width=8),) * 4), decoder=UNet(), norm="group")
    try:
        _train(small, _crop(data, SIDE))
    except (Exception, SystemExit):  # a part may need something that the small network lacks
        _train(candidate, _crop(data, max(data.size)))


def reason_of(error: BaseException) -> str:
    """The message of an error in one line, with its place in the user's own files."""
    line = user_line(error)
    text = "it calls sys.exit" if isinstance(error, SystemExit) else one_line(error)
    return f"{text} ({line})" if line and not isinstance(error, UserError) else text


def check_options(space: Recipe, try_out: Callable[[Recipe], object]) -> None:
    """Check that each option of each `Choice` works in some candidate.

    Random candidates are tried until every option was in one, or time is up. An option that fails only together with
    others gives a warning.

    Args:
        try_out: tries a candidate, and raises if it does not work.

    Raises:
        UserError: an option failed in every candidate, or all candidates failed.
    """
    trials = _Trials(space, try_out)
    until = time.monotonic() + MAX_SECONDS
    for _ in range(MAX_CANDIDATES):
        if (trials.untried and time.monotonic() < until) or not trials.working:
            trials.attempt(*trials.draw())
    if trials.reasons and not trials.working:
        raise UserError(f"no candidate of the space works: {trials.reasons[-1]}")
    suspects = trials.failing - trials.working
    # Outer options first: the options inside one that fails have failed with it.
    for suspect in sorted(suspects, key=lambda option: (option[0].count("."), str(option))):
        reason = trials.retry(suspect, suspects - trials.working)
        if reason is not None:
            raise UserError(f"{suspect[0]} = {suspect[1]} does not work: {reason}")
    if trials.reasons:
        log.warning("Some candidates of the space do not work, such as a random one: %s", trials.reasons[-1])


def check_constraints(space: Recipe) -> None:
    """Check that there is a candidate to try: a baseline, or a random candidate that meets the constraints.

    Raises:
        UserError: there is no baseline, and no random candidate meets the constraints.
    """
    if space.baselines:
        return
    rng = random.Random("constraints")
    draws = MAX_FRUITLESS if is_open(space) else 1
    if not any(_meets_constraints(space, close(space, draw(rng)).candidate()) for _ in range(draws)):
        which = f"none of {draws} candidates drawn from the space meets" if draws > 1 else "the recipe does not meet"
        raise UserError(f"{which} its constraints: loosen them, or widen the space")


def _meets_constraints(space: Recipe, candidate: Recipe) -> bool:
    check()
    try:
        return broken_constraint(space, candidate) is None
    except (Exception, SystemExit) as error:  # constraints are user code
        log.debug("a constraint fails: %s", error)
        return False


class _Trials:
    """Random candidates that were tried, and the options in those that worked and in those that failed."""

    def __init__(self, space: Recipe, try_out: Callable[[Recipe], object]) -> None:
        self.space, self.try_out = space, try_out
        self.working: set[Option] = set()
        self.failing: set[Option] = set()
        self.reasons: list[str] = []
        self.untried = {
            (_starred(parameter.path), label)
            for parameter in parameters(space)
            if isinstance(parameter.domain, Choice)
            for label in parameter.domain.labels
        }
        self._rng = random.Random("options")
        self._number = draw(self._rng)

    def draw(self, wanted: Option | None = None, avoided: Set[Option] = frozenset()) -> tuple[Recipe, set[Option]]:
        """Draw a candidate with the wanted option, and otherwise with options that were not tried yet.

        Returns:
            The candidate and its options.
        """
        options: set[Option] = set()

        def choose(path: str, domain: Any) -> Any:
            if not isinstance(domain, Choice):
                return self._number(path, domain)
            at = _starred(path)
            label = self._label(at, domain.labels, wanted, avoided)
            options.add((at, label))
            self.untried.discard((at, label))
            return label

        return close(self.space, choose).candidate(), options

    def _label(self, at: str, labels: tuple[Any, ...], wanted: Option | None, avoided: Set[Option]) -> Any:
        # Use the wanted option in about half of the stages, since it may fail in the others.
        if wanted is not None and ("*" not in at or self._rng.random() < 0.5):
            for label in labels:
                if (at, label) == wanted or wanted[0].startswith(f"{at}.{label}."):
                    return label
        allowed = [label for label in labels if (at, label) not in avoided] or labels
        untried = {label: self._untried_below(at, label) for label in allowed}
        return self._rng.choice([label for label in allowed if untried[label] == max(untried.values())])

    def _untried_below(self, at: str, label: Any) -> int:
        return sum((path, name) == (at, label) or path.startswith(f"{at}.{label}.") for path, name in self.untried)

    def attempt(self, candidate: Recipe, options: set[Option]) -> str | None:
        """Try a candidate; return why it fails, None if it works or breaks a constraint."""
        try:
            self.try_out(candidate)
            if not self.working:  # one candidate shows that the constraints run
                broken_constraint(self.space, candidate)
        except (Exception, SystemExit) as error:  # spaces hold user code
            if not is_out_of_memory(error):
                return self._note_failure(candidate, options, reason_of(error))
        self.working |= options
        return None

    def _note_failure(self, candidate: Recipe, options: set[Option], reason: str) -> str | None:
        try:
            if broken_constraint(self.space, candidate) is not None:
                return None
        except (Exception, SystemExit) as error:
            log.debug("a constraint fails: %s", error)
        self.failing |= options
        self.reasons.append(reason)
        return reason

    def retry(self, wanted: Option, suspects: Set[Option]) -> str | None:
        """Try an option without the other suspects until it works; return why it fails if it never works."""
        until = time.monotonic() + RETRY_SECONDS
        reason = None
        for tried in range(RETRIES):
            if wanted in self.working or (tried >= 3 and time.monotonic() > until):
                break
            candidate, options = self.draw(wanted, suspects - {wanted})
            if wanted in options:
                reason = self.attempt(candidate, options) or reason
        return None if wanted in self.working else reason


def _starred(path: str) -> str:
    """Replace the numbers in a path by `*`, since all stages have the same options."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)


@dataclass(frozen=True)
class _Split:
    images: np.ndarray
    masks: np.ndarray | None


@dataclass(frozen=True)
class _TinyData:
    """A corner of a few images of each split of a data set."""

    classes: tuple[str, ...]
    labelled: _Split
    unlabelled: _Split
    validation: _Split
    test: _Split
    shifted: bool


def _crop(data: Any, side: int) -> _TinyData:
    def corner(split: Any) -> _Split:
        masks = None if split.masks is None else split.masks[:IMAGES, :side, :side]
        return _Split(split.images[:IMAGES, :side, :side], masks)

    return _TinyData(
        classes=data.classes,
        labelled=corner(data.labelled),
        unlabelled=corner(data.unlabelled),
        validation=corner(data.validation),
        test=corner(data.test),
        shifted=data.shifted,
    )


def _train(candidate: Recipe, data: _TinyData) -> None:
    import torch

    from nas.training import Plan, train

    unlabelled = min(candidate.unlabelled_batch, IMAGES)
    one = replace(candidate, labelled_batch=IMAGES, unlabelled_batch=unlabelled, curriculum=Joint())
    # A training collects garbage to measure its memory, which takes a tenth of the time with older objects frozen.
    gc.freeze()
    try:
        with _silence(), torch.random.fork_rng(devices=[]):
            train(one, data, Plan(steps=1, rungs=(1,)))
    finally:
        gc.unfreeze()


@contextmanager
def _silence() -> Iterator[None]:
    """Context manager that silences warnings, which the search itself will give."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
