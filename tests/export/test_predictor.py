"""Class maps come back at the photo's own size, seen at the scale of the training."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from nas.export import Predictor
from nas.export import predict as predict_module
from nas.export.predict import _starts, upsampled_classes


class Colours(torch.nn.Module):
    """Logits that are the colours of each pixel, whatever is around it; remembers what it was shown."""

    classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.shown: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(tuple(images.shape))
        return images.clone()


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(length=st.integers(1, 5000), window=st.integers(4, 600))
def test_windows_cover_everything_and_overlap(length: int, window: int) -> None:
    window = min(window, length)
    starts = _starts(length, window)
    assert starts[0] == 0
    assert starts[-1] + window == length
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= np.ceil(0.75 * window)).all()


@pytest.mark.parametrize("size", [(37, 53), (8, 9), (3, 100), (1, 1)])
@pytest.mark.parametrize("strip", [1, 4000, 64 << 20])
def test_strips_are_bilinear_interpolation(size, strip, monkeypatch) -> None:
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


def test_a_photo_of_the_training_size_is_seen_whole(network) -> None:
    image = photo(24, 32)
    logits = Predictor(network, (24, 32)).logits(image)
    expected = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(24, 200), (100, 32), (77, 131)])
def test_windows_add_up_to_the_whole(shape) -> None:
    image = photo(*shape)
    network = Colours()
    logits = Predictor(network, (24, 32)).logits(image)
    np.testing.assert_allclose(logits.numpy(), image.transpose(2, 0, 1) / 255, rtol=1e-5)
    assert all(shown[2:] == (24, 32) for shown in network.shown)
    assert max(shown[0] for shown in network.shown) <= 4


def test_windows_are_averaged_where_they_overlap() -> None:
    class Numbered(Colours):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.arange(len(images)).view(-1, 1, 1, 1).expand_as(images).float()

    logits = Predictor(Numbered(), (8, 8)).logits(photo(8, 14))
    assert logits[0, 0].tolist() == [0.0] * 6 + [0.5] * 2 + [1.0] * 6


def test_objects_are_seen_at_the_size_they_had_in_training() -> None:
    small = photo(24, 32)
    network = Colours()
    # Shrinking by area undoes an enlargement by whole pixels.
    large = small.repeat(5, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(Predictor(network, (24, 32))._scaled(large), small)
    Predictor(network, (24, 32))(large)
    assert network.shown == [(1, 3, 24, 32)]


def test_height_shows_the_photo_larger() -> None:
    network = Colours()
    Predictor(network, (24, 32), height=48)(photo(24, 32))
    assert sum(shown[0] for shown in network.shown) > 1
    assert {shown[2:] for shown in network.shown} == {(24, 32)}


@pytest.mark.parametrize("shape", [(1, 1), (480, 3), (31, 500), (200, 101), (7, 5)])
def test_any_shape_comes_back_at_its_own_size(network, shape) -> None:
    mask = Predictor(network, (24, 32))(photo(*shape))
    assert mask.shape == shape
    assert mask.dtype == np.uint8
    assert mask.max() < 3


def test_classes_lie_where_their_colours_are() -> None:
    image = np.zeros((120, 150, 3), np.uint8)
    image[:60, :, 0] = image[60:, :75, 1] = image[60:, 75:, 2] = 255
    expected = cv2.merge([image]).argmax(-1)
    mask = Predictor(Colours(), (24, 32))(image)
    inside = np.ones((120, 150), bool)
    inside[55:65] = inside[:, 70:80] = False
    assert (mask == expected)[inside].all()
