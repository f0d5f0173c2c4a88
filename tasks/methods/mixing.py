"""Mixing of images: masks, and images whose masked pixels come from another image."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.tasks.random_numbers import uniform

__all__ = ["boxes", "class_masks", "mixed", "partners"]


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Sample a box per image at a random position, N x 1 x H x W bool.

    A box has half the area of the image, and sides from half to all of the image's.
    """
    random = torch.rand(count, 3, generator=generator)
    share = 0.5 ** random[:, 0]
    rows = (height * share).round().clamp_min(1)
    columns = (width * 0.5 / share).round().clamp_min(1)
    top = ((height - rows) * random[:, 1]).round()
    left = ((width - columns) * random[:, 2]).round()
    down = _between(height, top, top + rows)
    across = _between(width, left, left + columns)
    return (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1)


def class_masks(labels: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """Select the pixels of a random half of the classes in each image, N x 1 x H x W bool.

    Half of an odd number of classes is rounded down, so that of an image with one class nothing is selected (Olsson et
    al. 2021, algorithm 1).

    Args:
        labels: class of each pixel, N x H x W int64.
        classes: number of classes.
        generator: CPU generator.
    """
    present = torch.zeros(len(labels), classes, dtype=torch.bool, device=labels.device)
    present.scatter_(1, labels.flatten(1), True)
    random = uniform(present.shape, 0.0, 1.0, generator, labels.device)
    # Absent classes rank last.
    ranks = random.where(present, 2.0).argsort(1).argsort(1)
    taken = ranks < present.sum(1, keepdim=True) // 2
    return taken.gather(1, labels.flatten(1)).view_as(labels).unsqueeze(1)


def partners(whole: Tensor) -> Tensor:
    """Return what each image is mixed with: the previous image, or its own mirror image in a batch of one.

    Also used for predictions and masks, so that a teacher predicts every image once.
    """
    return whole.roll(1, 0) if len(whole) > 1 else whole.flip(-1)


def mixed(whole: Tensor, mask: Tensor) -> Tensor:
    """Replace pixels of images N x C x H x W by their partner's where the mask N x 1 x H x W is True."""
    return torch.where(mask, partners(whole), whole)


def _between(length: int, first: Tensor, end: Tensor) -> Tensor:
    """Mask of the positions 0 .. length - 1 that are in [first, end), N x length."""
    positions = torch.arange(length)
    return (positions >= first.unsqueeze(1)) & (positions < end.unsqueeze(1))
