"""Try a space's parts out before its search starts: one that never works is told at once, with its own message."""

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

from nas.controller.explore import FRUITLESS, broken_constraint
from nas.errors import UserError
from nas.interrupt import check
from nas.pool.worker import is_out_of_memory, one_line
from nas.space import Choice, Joint, Recipe, close, draw, is_open, parameters
from nas.space.local_modules import user_line

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_constraints", "check_options", "reason_of", "take_a_step", "try_candidate"]

log = logging.getLogger("nas")

DRAWS, SECONDS = 40, 10.0
"""At most, for candidates that hold every option between them: a dozen serve most spaces, in a second or two."""

TRIES, PATIENCE = 20, 10.0
"""Draws with an option, and seconds, after which one that never worked is taken not to work at all."""

IMAGES, SIDE = 2, 64
"""How many images, of how many pixels a side at most, a step is tried on."""

Option = tuple[str, Any]
"""A path, with `*` for the number of a stage, and the label of an option there."""


def try_candidate(candidate: Recipe, data: Any) -> None:
    """See that a candidate's network runs and that it can be trained.

    Raises:
        Exception: whatever one of its parts raises.
    """
    from nas.training import cost

    cost(candidate, data.size, len(data.classes))
    take_a_step(candidate, data)


def take_a_step(candidate: Recipe, data: Any) -> None:
    """Train loss, pretext tasks, method, optimizer, schedule and augmentation for one step, on a small network.

    Raises:
        Exception: whatever one of them raises, also with the candidate's own network and whole images.
    """
    from nas.models import Encoder, Stage, UNet

    small = replace(candidate, encoder=Encoder(stages=(Stage(width=8),) * 4), decoder=UNet(), norm="group")
    try:
        _train(small, _few(data, SIDE))
    except (Exception, SystemExit):  # a part may need what the small network lacks
        _train(candidate, _few(data, max(data.size)))


def reason_of(error: BaseException) -> str:
    """What an error says, in a line, with the place in the user's own files where it arose."""
    line = user_line(error)
    text = "it calls sys.exit" if isinstance(error, SystemExit) else one_line(error)
    return f"{text} ({line})" if line and not isinstance(error, UserError) else text


def check_options(space: Recipe, try_out: Callable[[Recipe], object]) -> None:
    """See that each option of each `Choice` works in some candidate.

    Candidates are drawn until they hold every option between them, or time is up. What fails only beside certain other
    options is warned of.

    Args:
        try_out: raises where a candidate does not work.

    Raises:
        UserError: an option failed in every candidate that was drawn with it, or all candidates did.
    """
    draws = _Draws(space, try_out)
    until = time.monotonic() + SECONDS
    for _ in range(DRAWS):
        if (draws.unseen and time.monotonic() < until) or not draws.working:
            draws.attempt(*draws.draw())
    if draws.reasons and not draws.working:
        raise UserError(f"no candidate of the space works: {draws.reasons[-1]}")
    suspects = draws.failing - draws.working
    # What lies below an option that fails has failed with it.
    for suspect in sorted(suspects, key=lambda option: (option[0].count("."), str(option))):
        reason = draws.insist(suspect, suspects - draws.working)
        if reason is not None:
            raise UserError(f"{suspect[0]} = {suspect[1]} does not work: {reason}")
    if draws.reasons:
        log.warning("Some candidates of the space do not work, such as one that was drawn: %s", draws.reasons[-1])


def check_constraints(space: Recipe) -> None:
    """See that some candidate can be tried: a baseline, which need not meet the constraints, or one drawn that does.

    Raises:
        UserError: there is no baseline, and none of the candidates drawn meets the constraints.
    """
    if space.baselines:
        return
    rng = random.Random("constraints")
    draws = FRUITLESS if is_open(space) else 1
    if not any(_meets_constraints(space, close(space, draw(rng)).candidate()) for _ in range(draws)):
        which = f"none of {draws} candidates drawn from the space meets" if draws > 1 else "the recipe does not meet"
        raise UserError(f"{which} its constraints: loosen them, or widen the space")


def _meets_constraints(space: Recipe, candidate: Recipe) -> bool:
    check()
    try:
        return broken_constraint(space, candidate) is None
    except (Exception, SystemExit) as error:  # a constraint is anyone's making
        log.debug("a constraint fails: %s", error)
        return False


class _Draws:
    """The candidates drawn, and which options were in those that worked and in those that failed."""

    def __init__(self, space: Recipe, try_out: Callable[[Recipe], object]) -> None:
        self.space, self.try_out = space, try_out
        self.working: set[Option] = set()
        self.failing: set[Option] = set()
        self.reasons: list[str] = []
        self.unseen = {
            (_starred(parameter.path), label)
            for parameter in parameters(space)
            if isinstance(parameter.domain, Choice)
            for label in parameter.domain.labels
        }
        self._rng = random.Random("options")
        self._number = draw(self._rng)

    def draw(self, wanted: Option | None = None, avoided: Set[Option] = frozenset()) -> tuple[Recipe, set[Option]]:
        """A candidate and its options: the one wanted, and else what was not drawn before."""
        options: set[Option] = set()

        def choose(path: str, domain: Any) -> Any:
            if not isinstance(domain, Choice):
                return self._number(path, domain)
            at = _starred(path)
            label = self._label(at, domain.labels, wanted, avoided)
            options.add((at, label))
            self.unseen.discard((at, label))
            return label

        return close(self.space, choose).candidate(), options

    def _label(self, at: str, labels: tuple[Any, ...], wanted: Option | None, avoided: Set[Option]) -> Any:
        # An option may work in some stages only, so it is not put into each.
        if wanted is not None and ("*" not in at or self._rng.random() < 0.5):
            for label in labels:
                if (at, label) == wanted or wanted[0].startswith(f"{at}.{label}."):
                    return label
        allowed = [label for label in labels if (at, label) not in avoided] or labels
        fresh = {label: self._unseen_below(at, label) for label in allowed}
        return self._rng.choice([label for label in allowed if fresh[label] == max(fresh.values())])

    def _unseen_below(self, at: str, label: Any) -> int:
        return sum((path, name) == (at, label) or path.startswith(f"{at}.{label}.") for path, name in self.unseen)

    def attempt(self, candidate: Recipe, options: set[Option]) -> str | None:
        """Why a candidate fails, or None where it does not, or is none of the space."""
        try:
            self.try_out(candidate)
            if not self.working:  # once is enough to see that the constraints run
                broken_constraint(self.space, candidate)
        except (Exception, SystemExit) as error:  # a space may hold parts of anyone's making
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

    def insist(self, wanted: Option, suspects: Set[Option]) -> str | None:
        """Draw an option, beside none of the other suspects, until it works; why it fails where it never does."""
        until = time.monotonic() + PATIENCE
        reason = None
        for tried in range(TRIES):
            if wanted in self.working or (tried >= 3 and time.monotonic() > until):
                break
            candidate, options = self.draw(wanted, suspects - {wanted})
            if wanted in options:
                reason = self.attempt(candidate, options) or reason
        return None if wanted in self.working else reason


def _starred(path: str) -> str:
    """The path with `*` for each number in it: what holds of one stage holds of the others."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", path)


@dataclass(frozen=True)
class _Split:
    images: np.ndarray
    masks: np.ndarray | None


@dataclass(frozen=True)
class _Few:
    """The corner of a few images of each part of a data set."""

    classes: tuple[str, ...]
    labelled: _Split
    unlabelled: _Split
    validation: _Split
    test: _Split
    shifted: bool


def _few(data: Any, side: int) -> _Few:
    def corner(split: Any) -> _Split:
        masks = None if split.masks is None else split.masks[:IMAGES, :side, :side]
        return _Split(split.images[:IMAGES, :side, :side], masks)

    return _Few(
        classes=data.classes,
        labelled=corner(data.labelled),
        unlabelled=corner(data.unlabelled),
        validation=corner(data.validation),
        test=corner(data.test),
        shifted=data.shifted,
    )


def _train(candidate: Recipe, data: _Few) -> None:
    import torch

    from nas.training import Plan, train

    unlabelled = min(candidate.unlabelled_batch, IMAGES)
    one = replace(candidate, labelled_batch=IMAGES, unlabelled_batch=unlabelled, curriculum=Joint())
    # A training collects garbage to measure its memory: here among what it makes alone, a tenth of the time.
    gc.freeze()
    try:
        with _silence(), torch.random.fork_rng(devices=[]):
            train(one, data, Plan(steps=1, rungs=(1,)))
    finally:
        gc.unfreeze()


@contextmanager
def _silence() -> Iterator[None]:
    """Inside it nothing is warned of: the search itself will."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
