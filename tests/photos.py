"""Draws small photos that pretext tasks can learn from: the sky is above the ground."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (24, 32)


def photos(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Draw images N x H x W x 3 of a blue sky over a brown ground with a box, and their masks of three classes."""
    rng = np.random.default_rng(seed)
    height, width = size
    masks = np.zeros((count, height, width), np.uint8)
    for mask in masks:
        mask[rng.integers(height // 3, 2 * height // 3) :] = 1
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        mask[top : top + 8, left : left + 8] = 2
    colours = np.array([(90, 150, 230), (120, 80, 40), (220, 220, 60)])
    noisy = colours[masks] + rng.normal(0, 12, (count, height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8), masks


def draw_photos(root: Path, labelled: int = 10, unlabelled: int = 22, seed: int = 0) -> Path:
    """Write a `folder:` set of photos, of which the first have masks."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    images, masks = photos(labelled + unlabelled, seed)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        cv2.imwrite(str(root / "images" / f"photo_{chr(97 + i % 26)}{i:02d}.png"), image[..., ::-1])
        if i < labelled:
            cv2.imwrite(str(root / "masks" / f"photo_{chr(97 + i % 26)}{i:02d}.png"), mask)
    return root
