"""Prediction on photos of any size, which are resized as in training. Class maps have the size of the photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.errors import UserError
from nas.export.checkpoint import Checkpoint, load_checkpoint
from nas.export.preprocessing import Preprocessing
from nas.models import Network

__all__ = ["Predictor", "predictor", "upsampled_classes"]

STRIP_BYTES = 64 << 20
"""Maximum bytes of upsampled logits in memory. Those of a whole photo may take gigabytes."""

VETOED = -1e4
"""Logit of a vetoed class: far below all others, but finite, so that it can be interpolated."""


@dataclass(frozen=True)
class Predictor:
    """Predicts class maps of photos, with the preprocessing of the training.

    A photo is resized to the working size and passed through the network. The logits are interpolated bilinearly to the
    size of the photo, and each pixel gets the class of its highest logit.

    Attributes:
        network: the network in evaluation mode, on its device.
        preprocessing: how photos are read and resized.
        classes: name of each class.
        palette: RGB colour of each class.
    """

    network: Network
    preprocessing: Preprocessing
    classes: tuple[str, ...] = ()
    palette: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> Predictor:
        """Create a predictor from a loaded checkpoint."""
        network = checkpoint.network.to(device)
        return cls(network, checkpoint.preprocessing, checkpoint.classes, checkpoint.palette)

    def predict(self, image: np.ndarray | str | Path) -> np.ndarray:
        """Predict class indices H x W uint8 of an RGB image H x W x 3 uint8 or an image file.

        Raises:
            UserError: the file cannot be read, or the array has another shape or dtype.
        """
        if isinstance(image, str | Path):
            image = self.preprocessing.read(Path(image))
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UserError(f"an image must be RGB, H x W x 3 uint8: this one is {image.shape} {image.dtype}")
        height, width = image.shape[:2]
        return upsampled_classes(self.logits(image), (height, width))

    @torch.no_grad()
    def logits(self, image: np.ndarray) -> Tensor:
        """Compute logits K x h x w, at the working size, of an RGB image H x W x 3 uint8; at least `VETOED`."""
        return self.scores(self.preprocessing(image)[None])[0].clamp_(min=VETOED)

    @torch.no_grad()
    def scores(self, images: np.ndarray) -> Tensor:
        """Compute the network's logits N x K x h x w of RGB images N x h x w x 3 uint8."""
        pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
        logits: Tensor = self.network(pixels.to(self.network.mean.device).float().div_(255))
        return logits


def predictor(path: str | Path, space: str | Path | None = None, device: torch.device | str = "cpu") -> Predictor:
    """Load the predictor of a checkpoint or a run. `predictor(path).predict(image)` is the class map of a photo.

    Args:
        path: a checkpoint file, or the folder of a run for its best checkpoint.
        space: the space file, needed only for networks with components that it defines.
        device: the device to compute on.

    Raises:
        UserError: as for `load_checkpoint`.
    """
    return Predictor.of(load_checkpoint(path, space), device)


def upsampled_classes(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Interpolate logits K x h x w bilinearly to `size` (H, W), in strips, and return the argmax, H x W uint8."""
    height, width = size
    rows = max(1, STRIP_BYTES // (4 * len(logits) * width))
    out = np.empty(size, np.uint8)
    # Positions of the output rows among the rows of logits, as in `interpolate` without aligned corners.
    places = ((torch.arange(height) + 0.5) * logits.shape[1] / height - 0.5).clamp_(0, logits.shape[1] - 1)
    for top in range(0, height, rows):
        at = places[top : top + rows].to(logits.device)
        above = at.long()
        below = (above + 1).clamp_(max=logits.shape[1] - 1)
        share = (at - above).view(1, -1, 1)
        strip = torch.lerp(logits[:, above], logits[:, below], share)
        strip = F.interpolate(strip[None], size=(len(at), width), mode="bilinear", align_corners=False)[0]
        out[top : top + rows] = strip.max(0).indices.to(torch.uint8).cpu().numpy()
    return out
