"""Messages of a search about cached features of frozen encoders."""

from __future__ import annotations

import logging
from pathlib import Path

from nas.space import Recipe
from nas.space.cached import cached_notes, has_cached

__all__ = ["log_cached_features", "log_size"]

log = logging.getLogger("nas")


def log_cached_features(space: Recipe, folder: Path) -> None:
    """Log where the features are cached, on how much disk, and which candidates do not use them."""
    if not has_cached(space):
        return
    from nas.training.feature_cache import FeatureCache
    from nas.training.features import VIEWS

    log.info(
        'frozen="cached": the features of images, and of %d views of each labelled one, are computed once and kept in '
        "%s until the search ends, on %.1f GB of disk at most.",
        VIEWS,
        folder,
        FeatureCache(folder).limit / 1e9,
    )
    for note in cached_notes(space):
        log.info("Cached features: %s.", note)


def log_size(folder: Path) -> None:
    """Log the size of the cache, if there is anything in it."""
    from nas.training.feature_cache import FeatureCache

    size = FeatureCache(folder).used if folder.is_dir() else 0
    if size:
        log.info("Cached features take %.2f GB of disk.", size / 1e9)
