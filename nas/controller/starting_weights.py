"""Pretrained weights of a space's encoders: checked before a search starts, and named in its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nas.space import Choice, Recipe, is_open
from nas.space.walk import components

__all__ = ["check_weights", "tell_weights"]

log = logging.getLogger("nas")


def check_weights(space: Recipe) -> None:
    """See that all pretrained weights that candidates and baselines may start from can be loaded.

    Raises:
        UserError: some cannot; the message says why and what to do.
    """
    for encoder in _encoders(space):
        encoder.check_weights()


def tell_weights(space: Recipe) -> None:
    """Log which files encoders start from, once each; a warning where they start from random weights instead."""
    notes = {note: encoder for encoder in _encoders(space) if (note := encoder.weights_note())}
    for note, encoder in notes.items():
        log.log(logging.INFO if encoder.weights_found() else logging.WARNING, "%s.", note)


def _encoders(space: Recipe) -> Iterator[Any]:
    """The encoders that may start from pretrained weights, once for each name and file that a space holds."""
    from nas.models import Pretrained, Timm

    found: dict[Any, None] = {}
    for recipe in (space, *space.baselines):
        for part in components(recipe.encoder):
            if isinstance(part, Timm):
                for name in _options(part.name):
                    for weights in _options(part.weights):
                        found[Timm(name, weights)] = None
            elif isinstance(part, Pretrained) and not is_open(part.encoder):
                for weights in _options(part.weights):
                    found[replace(part, weights=weights, frozen=0, rate=1.0, statistics="batch")] = None
    yield from found


def _options(value: Any) -> tuple[Any, ...]:
    return tuple(value.options) if isinstance(value, Choice) else (value,)
