"""Photos are resized as in training, and class maps have the size of the photo."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import nas
from nas.errors import UserError
from nas.export import Predictor, Preprocessing, load, load_checkpoint
from nas.export import predict as predict_module
from nas.export.predict import upsampled_classes
from nas.training import evaluate

SHAPES = [(24, 32), (240, 320), (480, 301), (31, 500), (200, 17), (7, 5), (1, 1)]


def photo(height: int, width: int) -> np.ndarray:
    """Smooth shapes and noise."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return (coarse + rng.normal(0, 10, coarse.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(37, 53), (8, 9), (3, 100), (1, 1)])
@pytest.mark.parametrize("strip", [1, 4000, 64 << 20])
def test_strips_equal_bilinear_interpolation(size, strip, monkeypatch) -> None:
    monkeypatch.setattr(predict_module, "STRIP_BYTES", strip)
    logits = torch.randn(4, 12, 16, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    best, second = whole.topk(2, dim=0).values
    clear = (best - second > 1e-5).numpy()
    classes = upsampled_classes(logits, size)
    assert classes.shape == size
    assert classes.dtype == np.uint8
    assert clear.mean() > 0.99
    assert (classes == whole.argmax(0).numpy())[clear].all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_photo_is_resized_and_its_logits_are_enlarged(checkpoint, shape) -> None:
    image = photo(*shape)
    shrinks = shape[0] >= 24 and shape[1] >= 32
    small = cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    logits = load(checkpoint)(torch.from_numpy(small).permute(2, 0, 1)[None] / 255)
    expected = F.interpolate(logits, size=shape, mode="bilinear", align_corners=False)[0].argmax(0)
    mask = nas.predictor(checkpoint).predict(image)
    assert (mask.shape, mask.dtype) == (shape, np.uint8)
    assert (mask == expected.numpy()).mean() >= 0.999
    assert len(np.unique(mask)) > 1 or min(shape) < 10


def test_a_file_is_read_as_in_training(checkpoint, tmp_path) -> None:
    image = photo(48, 100)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    predictor = nas.predictor(checkpoint.parent)
    np.testing.assert_array_equal(predictor.predict(tmp_path / "a.png"), predictor.predict(image))
    with pytest.raises(UserError, match=r"none\.png"):
        predictor.predict(tmp_path / "none.png")


def test_the_predictor_knows_its_classes(checkpoint, data) -> None:
    predictor = nas.predictor(checkpoint)
    assert (predictor.classes, predictor.palette) == (data.classes, data.palette)
    assert predictor.preprocessing == Preprocessing((24, 32))


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_an_array_that_is_not_an_rgb_image_is_refused(checkpoint, wrong) -> None:
    with pytest.raises(UserError, match="RGB"):
        nas.predictor(checkpoint).predict(wrong)


def test_class_maps_at_the_working_size_agree_with_evaluate(checkpoint) -> None:
    images = np.stack([photo(24, 32), photo(24, 32)[::-1], photo(24, 32)[:, ::-1]])
    loaded = load_checkpoint(checkpoint)
    masks = np.stack([Predictor.of(loaded).predict(image) for image in images])

    split = SimpleNamespace(images=images, masks=masks)
    assert len(np.unique(masks)) > 1
    assert evaluate(loaded.network, split, 3, torch.device("cpu")).accuracy >= 0.999


def test_class_maps_are_aligned_with_the_photo() -> None:
    class Colours(torch.nn.Module):
        mean = torch.zeros(1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    image = np.zeros((120, 150, 3), np.uint8)
    image[:60, :, 0] = image[60:, :75, 1] = image[60:, 75:, 2] = 255
    mask = Predictor(Colours(), Preprocessing((24, 32))).predict(image)  # type: ignore[arg-type]
    inside = np.ones((120, 150), bool)
    inside[55:65] = inside[:, 70:80] = False
    assert (mask == image.argmax(-1))[inside].all()
