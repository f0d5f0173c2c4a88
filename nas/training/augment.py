"""Augmentation of batches on their device: flip, scale, crop and colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from nas.space.component import Component
from nas.training.batch import VOID

__all__ = ["Augment", "adjust_colours", "colour_jitter"]


def _uniform(n: int, lo: float, hi: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=generator) * (hi - lo) + lo


@dataclass(frozen=True)
class Augment(Component):
    """Random augmentation, sampled independently for each image.

    Attributes:
        flip: probability of a horizontal flip.
        scale: range of the zoom, sampled on a log scale. Outside the image, pixels are black and void; images without
            masks are mirrored there.
        crop: (height, width) of the view, at most the image's size; None for the image's size.
        colour: strength of the brightness, contrast and saturation jitter on labelled images; 0 for none.
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    crop: tuple[int, int] | None = None
    colour: float = 0.0

    def view(
        self, images: torch.Tensor, masks: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Augment uint8 images N x 3 x H x W and masks N x H x W.

        Returns:
            Float images N x 3 x h x w in [0, 1] and int64 masks N x h x w (255 where void), where h x w is the crop.
        """
        n, _, height, width = images.shape
        h, w = (height, width) if self.crop is None else (min(self.crop[0], height), min(self.crop[1], width))
        theta = self._window(n, (height, width), (h, w), generator).to(images.device, non_blocking=True)
        grid = F.affine_grid(theta, [n, 3, h, w], align_corners=False)
        # Without masks, pixels outside the image cannot be marked as void, so the image is mirrored there.
        padding = "reflection" if masks is None else "zeros"
        pixels = F.grid_sample(images.float().div_(255), grid, padding_mode=padding, align_corners=False)
        if masks is None:
            return pixels, None
        # Shifted so that zero padding becomes void.
        shifted = (masks.float() - VOID).unsqueeze(1)
        labels = F.grid_sample(shifted, grid, mode="nearest", align_corners=False)
        return pixels, labels.squeeze(1).add_(VOID).round_().long()

    def _window(self, n: int, full: tuple[int, int], view: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
        """Sample affine maps N x 2 x 3 from the view to the image, in the coordinates of `affine_grid`."""
        lo, hi = (torch.tensor(s).log().item() for s in self.scale)
        zoom = _uniform(n, lo, hi, generator).exp()
        theta = torch.zeros(n, 2, 3)
        flipped = torch.rand(n, generator=generator) < self.flip
        for axis, (size, window) in enumerate(((full[1], view[1]), (full[0], view[0]))):
            share = window / size / zoom
            theta[:, axis, axis] = share
            theta[:, axis, 2] = _uniform(n, -1, 1, generator) * (1 - share).abs()
        theta[flipped, 0, 0] *= -1
        return theta


def colour_jitter(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Scale brightness, contrast and saturation of images N x 3 x H x W in [0, 1], each by 1 +- `strength` at most."""
    if strength <= 0:
        return images
    n = len(images)
    brightness, contrast, saturation = (
        _uniform(n, 1 - strength, 1 + strength, generator).view(n, 1, 1, 1).to(images.device, non_blocking=True)
        for _ in range(3)
    )
    return adjust_colours(images, contrast, saturation).mul_(brightness).clamp_(0, 1)


def adjust_colours(
    images: torch.Tensor, contrast: torch.Tensor, saturation: torch.Tensor | None = None
) -> torch.Tensor:
    """Scale saturation about the grey of each pixel, then contrast about the mean of each image.

    Args:
        images: images N x 3 x H x W.
        contrast: factors N x 1 x 1 x 1.
        saturation: factors N x 1 x 1 x 1; None for no change.

    Returns:
        New images, not clipped.
    """
    if saturation is None:
        return torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)
    grey = images.mean(1, keepdim=True)
    return torch.lerp(grey.mean((2, 3), keepdim=True), torch.lerp(grey, images, saturation), contrast)
