"""Denoising: restore an image with added Gaussian noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space.component import Component, SpaceError
from nas.tasks.pretext.heads import PixelHead, crop_to
from nas.tasks.pretext.inpainting import psnr
from nas.tasks.random_numbers import noise_like, uniform

__all__ = ["Denoising"]


@dataclass(frozen=True)
class Denoising(Component):
    """Restore images with Gaussian noise, scored by mean squared error (Vincent et al. 2008).

    The standard deviation is sampled uniformly for each image.

    Attributes:
        low: smallest standard deviation of the noise, for pixels in [0, 1].
        high: largest standard deviation.
        weight: weight of the loss.
    """

    low: float = 0.05
    high: float = 0.2
    weight: float = 1.0

    def head(self, channels: Sequence[int], reductions: Sequence[int]) -> nn.Module:
        """Build the head from features to RGB images N x 3 x H x W in [0, 1]."""
        return PixelHead(channels, reductions, out_channels=3, start=0.5)

    def make_batch(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return noisy images, and the images as targets.

        The noisy images are not clipped, which would darken bright regions.

        Raises:
            SpaceError: not 0 <= low <= high.
        """
        if not 0 <= self.low <= self.high:
            raise SpaceError(f"Denoising: low {self.low} and high {self.high}, they must be 0 <= low <= high")
        sigma = uniform((images.shape[0], 1, 1, 1), self.low, self.high, generator, images.device)
        return images + sigma * noise_like(images, generator), images

    def loss(self, prediction: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error over all pixels."""
        return F.mse_loss(crop_to(prediction, targets.shape[-2:]).float(), targets.float())

    def metric(self, prediction: Tensor, targets: Tensor) -> float:
        """Peak signal-to-noise ratio in dB."""
        return psnr(float(self.loss(prediction.detach(), targets)))
