"""Mixing: the masks by which an image takes pixels of another, and the mix they make."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.tasks.random_numbers import uniform

__all__ = ["boxes", "class_masks", "mixed", "partners"]


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """One box an image, N x 1 x H x W bool: half the area, sides from half to all of the image's, anywhere."""
    draws = torch.rand(count, 3, generator=generator)
    share = 0.5 ** draws[:, 0]
    rows = (height * share).round().clamp_min(1)
    columns = (width * 0.5 / share).round().clamp_min(1)
    top = ((height - rows) * draws[:, 1]).round()
    left = ((width - columns) * draws[:, 2]).round()
    down = _between(height, top, top + rows)
    across = _between(width, left, left + columns)
    return (down.unsqueeze(2) & across.unsqueeze(1)).unsqueeze(1)


def class_masks(labels: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """The pixels of half of the classes each image holds, drawn at random, N x 1 x H x W bool.

    An odd number of classes is halved downwards, so that an image of one class gives nothing
    (Olsson et al. 2021, algorithm 1).

    Args:
        labels: a class a pixel, N x H x W int64.
        classes: how many there are.
        generator: of the draw.
    """
    present = torch.zeros(len(labels), classes, dtype=torch.bool, device=labels.device)
    present.scatter_(1, labels.flatten(1), True)
    draws = uniform(present.shape, 0.0, 1.0, generator, labels.device)
    # Absent classes rank last, behind the half that is taken.
    ranks = draws.where(present, 2.0).argsort(1).argsort(1)
    taken = ranks < present.sum(1, keepdim=True) // 2
    return taken.gather(1, labels.flatten(1)).view_as(labels).unsqueeze(1)


def partners(whole: Tensor) -> Tensor:
    """What each image of N is mixed with: the one before it, or its mirror image where it is alone.

    Serves images, their predictions and masks alike, so that a teacher need see every image but once.
    """
    return whole.roll(1, 0) if len(whole) > 1 else whole.flip(-1)


def mixed(whole: Tensor, mask: Tensor) -> Tensor:
    """Each image, N x C x H x W, with its partner's pixels where the mask, N x 1 x H x W bool, is set."""
    return torch.where(mask, partners(whole), whole)


def _between(length: int, first: Tensor, end: Tensor) -> Tensor:
    """Which of 0 .. length - 1 lie in [first, end), N x length."""
    places = torch.arange(length)
    return (places >= first.unsqueeze(1)) & (places < end.unsqueeze(1))
