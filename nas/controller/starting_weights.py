"""Check the pretrained weights of a space before the search starts, and log where they come from."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nas.errors import MissingWeightsError, UserError
from nas.space import Recipe, is_open
from nas.space.domains import values_of
from nas.space.walk import components

__all__ = ["check_weights", "log_weights", "warn_of_missing", "without"]

log = logging.getLogger("nas")


def check_weights(space: Recipe) -> dict[str, str]:
    """Check that the pretrained weights of candidates and baselines can be loaded.

    Returns:
        The networks of timm whose ImageNet weights are neither on disk nor can be downloaded, with the reason of each.
        A search leaves them out.

    Raises:
        UserError: a file cannot be loaded, or none of the space's networks has its ImageNet weights.
    """
    found = {encoder: _reason(encoder, tuple(norms)) for encoder, norms in _encoders(space).items()}
    missing = {encoder.name: reason for encoder, reason in found.items() if reason is not None}
    wanted = {encoder.name for encoder in _encoders(replace(space, baselines=())) if _wants_imagenet(encoder)}
    if missing and wanted <= missing.keys():
        others = [name for name in missing if name in wanted][1:]
        also = f"; any of {', '.join(others)} would do as well" if others else ""
        raise UserError(next(iter(missing.values())) + also)
    return missing


def without(space: Recipe, missing: Collection[str]) -> Recipe:
    """The space without candidates and baselines whose networks lack their ImageNet weights.

    Args:
        missing: names of the networks.
    """

    def has_weights(candidate: Recipe) -> bool:
        return not (_wants_imagenet(candidate.encoder) and candidate.encoder.name in missing)

    if not missing:
        return space
    kept = [i for i, baseline in enumerate(space.baselines) if has_weights(baseline)]
    return replace(
        space.where(has_weights),
        baselines=tuple(space.baselines[i] for i in kept),
        baseline_names=tuple(space.baseline_name(i) for i in kept),
    )


def warn_of_missing(space: Recipe, missing: Mapping[str, str]) -> None:
    """Log which networks and baselines of a space are left out, and how to include them."""
    if not missing:
        return
    kept = without(space, missing).baseline_names
    names = [name for i in range(len(space.baselines)) if (name := space.baseline_name(i)) not in kept]
    baselines = f" and the baseline{'s' * (len(names) > 1)} {', '.join(names)}" if names else ""
    log.warning("Left out for lack of ImageNet weights: %s%s.", ", ".join(missing), baselines)
    for reason in missing.values():
        log.warning("%s.", reason[:1].upper() + reason[1:])


def log_weights(space: Recipe, missing: Collection[str] = ()) -> None:
    """Log the weights of each encoder once, as a warning where random weights replace missing ones."""
    encoders = [e for e in _encoders(space) if not (_wants_imagenet(e) and e.name in missing)]
    notes = {note: encoder for encoder in encoders if (note := encoder.weights_note())}
    for note, encoder in notes.items():
        log.log(logging.INFO if encoder.weights_found() else logging.WARNING, "%s.", note)


def _reason(encoder: Any, norms: tuple[str, ...]) -> str | None:
    """Why an encoder's ImageNet weights are missing; None if its weights can be loaded."""
    from nas.models import Pretrained

    try:
        if isinstance(encoder, Pretrained):
            encoder.check_weights(norms)
        else:
            encoder.check_weights()
    except MissingWeightsError as error:
        return str(error)
    return None


def _wants_imagenet(encoder: Any) -> bool:
    from nas.models import Timm

    return isinstance(encoder, Timm) and encoder.wants_imagenet()


def _encoders(space: Recipe) -> dict[Any, dict[str, None]]:
    """The encoders with pretrained weights, one for each name and file in the space, and the norms they may have."""
    from nas.models import Pretrained, Timm

    found: dict[Any, dict[str, None]] = {}
    for recipe in (space, *space.baselines):
        norms = dict.fromkeys(_encoder_norms(recipe.norm))
        for part in components(recipe.encoder):
            if isinstance(part, Timm):
                for name in values_of(part.name):
                    for weights in values_of(part.weights):
                        found.setdefault(Timm(name, weights), {}).update(norms)
            elif isinstance(part, Pretrained) and not is_open(part.encoder):
                for weights in values_of(part.weights):
                    closed = replace(part, weights=weights, frozen=0, rate=1.0, statistics="batch")
                    found.setdefault(closed, {}).update(norms)
    return found


def _encoder_norms(norm: Any) -> Iterator[str]:
    """The norms that an encoder may have, from the `norm` field of a space."""
    for option in values_of(norm):
        yield from values_of(getattr(option, "encoder", option))
