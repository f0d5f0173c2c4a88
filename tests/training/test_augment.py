"""Augmentation: images and masks move together, pixels outside are void, a generator decides the result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from nas.training import VOID, Augment, colour_jitter
from nas.training.augment import adjust_colours


def coded(n: int = 3, h: int = 16, w: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose red channel is the label of the pixel, in blocks."""
    masks = (torch.arange(h)[:, None] // 4 * 3 + torch.arange(w)[None] // 8).to(torch.uint8).expand(n, h, w)
    return masks[:, None].expand(n, 3, h, w).contiguous(), masks.contiguous()


def test_identity_when_everything_is_off() -> None:
    images, masks = coded()
    view, labels = Augment(flip=0, scale=(1.0, 1.0)).view(images, masks, torch.Generator())
    assert labels is not None
    assert torch.allclose(view * 255, images.float(), atol=1e-3)
    assert torch.equal(labels, masks.long())


def test_flip_mirrors_both() -> None:
    images, masks = coded()
    view, labels = Augment(flip=1, scale=(1.0, 1.0)).view(images, masks, torch.Generator())
    assert labels is not None
    assert torch.allclose(view * 255, images.flip(-1).float(), atol=1e-3)
    assert torch.equal(labels, masks.flip(-1).long())


@pytest.mark.parametrize("scale", [(0.4, 0.7), (1.5, 2.5), (0.5, 2.0)])
def test_pixels_and_labels_stay_together(scale: tuple[float, float]) -> None:
    images, masks = coded(n=8)
    generator = torch.Generator().manual_seed(3)
    view, labels = Augment(scale=scale).view(images, masks, generator)
    assert labels is not None
    known = labels != VOID
    agree = ((view[:, 0] * 255 - labels).abs() < 0.51)[known].float().mean()
    assert agree > 0.6  # all but the pixels that blend two blocks
    assert set(labels.unique().tolist()) <= {*masks.unique().tolist(), VOID}
    if scale[1] < 1:
        assert (labels == VOID).any(0).any()
        assert (labels == VOID).float().mean() > 1 - scale[1] ** 2 - 0.2
    if scale[0] > 1:
        assert known.all()


def test_a_crop_has_its_size_and_keeps_void() -> None:
    images, masks = coded()
    masks[:] = VOID
    view, labels = Augment(crop=(8, 12)).view(images, masks, torch.Generator().manual_seed(0))
    assert labels is not None
    assert view.shape == (3, 3, 8, 12)
    assert (labels == VOID).all()


def test_a_crop_larger_than_the_image_is_the_image() -> None:
    images, masks = coded()
    for crop, size in (((64, 64), (16, 24)), ((8, 64), (8, 24))):
        view, labels = Augment(flip=0, scale=(1.0, 1.0), crop=crop).view(images, masks, torch.Generator())
        assert labels is not None
        assert view.shape[2:] == labels.shape[1:] == size
        assert (labels != VOID).all()


def test_the_generator_decides_the_view() -> None:
    images, masks = coded()
    one = Augment().view(images, masks, torch.Generator().manual_seed(1))[0]
    assert torch.equal(one, Augment().view(images, masks, torch.Generator().manual_seed(1))[0])
    assert not torch.equal(one, Augment().view(images, masks, torch.Generator().manual_seed(2))[0])


def test_colour_jitter_stays_in_range_and_does_not_change_its_input() -> None:
    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    changed = colour_jitter(images, 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(images, before)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.allclose(changed, images)
    assert torch.equal(colour_jitter(images, 0.0, torch.Generator()), images)


def test_contrast_and_saturation_by_pillow() -> None:
    """Pillow has a weighted grey, so saturation is only compared at its extremes and contrast on grey images."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (8, 9, 1), np.uint8).repeat(3, 2)
    image = torch.from_numpy(grey).permute(2, 0, 1)[None] / 255
    for factor in (0.0, 0.6, 1.0):
        expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(grey)).enhance(factor)) / 255
        found = adjust_colours(image, torch.full((1, 1, 1, 1), factor))
        assert np.abs(found[0].permute(1, 2, 0).numpy() - expected).max() <= 1.01 / 255
    colours, one = torch.rand(2, 3, 8, 9), torch.ones(2, 1, 1, 1)
    assert torch.allclose(adjust_colours(colours, one, one), colours, atol=1e-6)
    without_colour = adjust_colours(colours, one, 0 * one)
    assert torch.allclose(without_colour, colours.mean(1, keepdim=True).expand_as(colours), atol=1e-6)


def test_a_view_without_masks_shows_only_pixels_of_the_image() -> None:
    images = torch.full((4, 3, 16, 20), 200, dtype=torch.uint8)
    zoomed_out = Augment(scale=(0.4, 0.6))
    unlabelled, _ = zoomed_out.view(images, None, torch.Generator().manual_seed(0))
    assert torch.allclose(unlabelled, torch.tensor(200 / 255))
    labelled, masks = zoomed_out.view(images, torch.zeros(4, 16, 20), torch.Generator().manual_seed(0))
    assert masks is not None
    assert (labelled == 0).any()
    assert (masks[(labelled == 0).all(1)] == 255).all()
