"""Loads the images of a run: small ones to compare candidates, larger ones for the exported network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.logs import only_errors
from nas.runs.settings import Settings

if TYPE_CHECKING:
    from nas.tasks.data import FewLabelData

__all__ = ["load_full_size", "load_images", "with_groups", "with_sizes"]


def load_images(settings: Settings, searched: bool = False) -> FewLabelData:
    """Load the images at the size at which candidates are compared.

    Args:
        searched: whether the space holds more than one candidate. On a CPU, where no size is given, candidates are then
            compared on smaller images, so that more of them can be tried.

    Raises:
        UserError: as `nas.tasks.data.load_data`.
    """
    search_pixels, export_pixels = _affordable_pixels(settings)
    small = searched and settings.holdout and settings.unlabelled is None
    return _load(settings, settings.search_size or settings.size, search_pixels if small else export_pixels)


def with_groups(settings: Settings) -> Settings:
    """Store the content of the `--group-classes` file in the settings, since the file may change.

    Raises:
        UserError: the file cannot be read.
    """
    if settings.group_classes is None:
        return settings
    from nas.tasks.data import read_groups

    return replace(settings, group_classes=read_groups(settings.group_classes))


def with_sizes(settings: Settings, data: FewLabelData) -> Settings:
    """Decide both sizes, from the images that `load_images` returned."""
    from nas.tasks.data.working_size import affordable

    size = settings.size or affordable(data.native or data.size, _affordable_pixels(settings)[1])
    if size[0] * size[1] <= data.size[0] * data.size[1]:
        return replace(settings, size=data.size, search_size=None)
    return replace(settings, size=size, search_size=data.size)


def load_full_size(settings: Settings, data: FewLabelData) -> FewLabelData:
    """Load the images again, at the size that the exported network is trained at.

    Args:
        data: the images at the size at which candidates were compared.

    Raises:
        UserError: as `nas.tasks.data.load_data`, or the images are no longer the same.
    """
    # Warnings about the images were given when they were first loaded.
    with only_errors("nas.tasks.data"):
        full = _load(settings, settings.size, None)
    for part in ("labelled", "unlabelled", "validation", "test"):
        if getattr(full, part).names != getattr(data, part).names:
            raise UserError(f"{data.name}: the {part} images changed during the search: put them back, and resume it")
    return full


def _affordable_pixels(settings: Settings) -> tuple[int, int]:
    """Pixels per image that the time allows: to compare candidates, and for the exported network."""
    from nas.pool.devices import visible_gpus
    from nas.tasks.data.working_size import affordable_pixels, searched_pixels

    device = "cuda" if visible_gpus() else "cpu"
    pixels = affordable_pixels(device, settings.max_time)
    return searched_pixels(device, pixels), pixels


def _load(settings: Settings, size: tuple[int, int] | None, most_pixels: int | None) -> FewLabelData:
    from nas.tasks.data import load_data

    return load_data(
        settings.data,
        labels=settings.labels,
        unlabelled=settings.unlabelled,
        size=size,
        seed=settings.seed,
        cache_gb=settings.cache_gb,
        group_classes=settings.group_classes,
        holdout=settings.holdout,
        folds=settings.folds,
        most_pixels=most_pixels,
    )
