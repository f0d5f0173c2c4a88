"""Strong view: images with strongly jittered colours and noise, on which a student learns."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.tasks.random_numbers import noise_like, uniform
from nas.training.augment import adjust_colours

__all__ = ["strong_view"]


def strong_view(images: Tensor, generator: torch.Generator) -> Tensor:
    """Jitter contrast, brightness and colour cast of images N x 3 x H x W in [0, 1], and add noise."""
    count, device = images.shape[0], images.device
    contrast = uniform((count, 1, 1, 1), 0.6, 1.4, generator, device)
    brightness = uniform((count, 1, 1, 1), -0.2, 0.2, generator, device)
    colour_cast = uniform((count, 3, 1, 1), -0.1, 0.1, generator, device)
    sigma = uniform((count, 1, 1, 1), 0.0, 0.1, generator, device)
    jittered = adjust_colours(images, contrast) + (brightness + colour_cast)
    return (jittered + sigma * noise_like(images, generator)).clamp_(0, 1)
