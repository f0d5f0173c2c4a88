"""Check the pretrained weights of a space before the search starts, and log where they come from."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from nas.space import Choice, Recipe, is_open
from nas.space.walk import components

__all__ = ["check_weights", "log_weights"]

log = logging.getLogger("nas")


def check_weights(space: Recipe) -> None:
    """Check that all pretrained weights of candidates and baselines can be loaded.

    Raises:
        UserError: some cannot be loaded.
    """
    from nas.models import Pretrained

    for encoder, norms in _encoders(space).items():
        if isinstance(encoder, Pretrained):
            encoder.check_weights(tuple(norms))
        else:
            encoder.check_weights()


def log_weights(space: Recipe) -> None:
    """Log the weights of each encoder once, as a warning where random weights replace missing ones."""
    notes = {note: encoder for encoder in _encoders(space) if (note := encoder.weights_note())}
    for note, encoder in notes.items():
        log.log(logging.INFO if encoder.weights_found() else logging.WARNING, "%s.", note)


def _encoders(space: Recipe) -> dict[Any, dict[str, None]]:
    """The encoders with pretrained weights, one for each name and file in the space, and the norms they may have."""
    from nas.models import Pretrained, Timm

    found: dict[Any, dict[str, None]] = {}
    for recipe in (space, *space.baselines):
        norms = dict.fromkeys(_encoder_norms(recipe.norm))
        for part in components(recipe.encoder):
            if isinstance(part, Timm):
                for name in _options(part.name):
                    for weights in _options(part.weights):
                        found.setdefault(Timm(name, weights), {}).update(norms)
            elif isinstance(part, Pretrained) and not is_open(part.encoder):
                for weights in _options(part.weights):
                    closed = replace(part, weights=weights, frozen=0, rate=1.0, statistics="batch")
                    found.setdefault(closed, {}).update(norms)
    return found


def _encoder_norms(norm: Any) -> Iterator[str]:
    """The norms that an encoder may have, from the `norm` field of a space."""
    for option in _options(norm):
        yield from _options(getattr(option, "encoder", option))


def _options(value: Any) -> tuple[Any, ...]:
    return tuple(value.options) if isinstance(value, Choice) else (value,)
