"""Windows cover the photo and keep its proportions; logits are averaged where windows overlap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.export import Preprocessing, WindowPredictor, load_checkpoint
from nas.export.windows import _starts, stretch_of
from nas.tasks.data.files import resize


class Colours(torch.nn.Module):
    """A network whose logits are the colours of the pixels. It records the shapes of its inputs."""

    classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shapes.append(tuple(images.shape))
        return images.clone()


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def windows(network, size=(24, 32), **settings) -> WindowPredictor:
    return WindowPredictor(network, Preprocessing(size), **settings)


@given(length=st.integers(1, 5000), window=st.integers(4, 600))
def test_windows_cover_everything_and_overlap(length: int, window: int) -> None:
    window = min(window, length)
    starts = _starts(length, window)
    assert starts[0] == 0
    assert starts[-1] + window == length
    steps = np.diff(starts)
    assert (steps > 0).all()
    assert (steps <= np.ceil(0.75 * window)).all()


def test_a_photo_of_the_training_size_is_one_window(network) -> None:
    image = photo(24, 32)
    logits = windows(network).logits(image)
    expected = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)[0]
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(24, 200), (100, 32), (77, 131)])
def test_windows_together_equal_the_whole_photo(shape) -> None:
    image = photo(*shape)
    network = Colours()
    logits = windows(network, height=shape[0]).logits(image)
    np.testing.assert_allclose(logits.numpy(), image.transpose(2, 0, 1) / 255, rtol=1e-5)
    assert all(shown[2:] == (24, 32) for shown in network.shapes)
    assert max(shown[0] for shown in network.shapes) <= 4


def test_windows_are_averaged_where_they_overlap() -> None:
    class Numbered(Colours):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.arange(len(images)).view(-1, 1, 1, 1).expand_as(images).float()

    logits = windows(Numbered(), (8, 8)).logits(photo(8, 14))
    assert logits[0, 0].tolist() == [0.0] * 6 + [0.5] * 2 + [1.0] * 6


def test_objects_have_the_size_they_had_in_training() -> None:
    small = photo(24, 32)
    network = Colours()
    # Shrinking by area inverts the enlargement by whole pixels.
    large = small.repeat(5, axis=0).repeat(5, axis=1)
    logits = windows(network).logits(large)
    np.testing.assert_allclose(logits.numpy() * 255, small.transpose(2, 0, 1), rtol=1e-5)
    assert network.shapes == [(1, 3, 24, 32)]


def test_a_larger_height_takes_more_windows() -> None:
    network = Colours()
    windows(network, height=48).predict(photo(24, 32))
    assert sum(shown[0] for shown in network.shapes) > 1
    assert {shown[2:] for shown in network.shapes} == {(24, 32)}


def test_photos_are_stretched_like_the_first_training_image(checkpoint) -> None:
    loaded = load_checkpoint(checkpoint)
    assert stretch_of(loaded) == 1.0
    said = loaded.provenance | {"data": {"native": [480, 640]}}
    squeezed = replace(loaded, provenance=said, preprocessing=Preprocessing((32, 64)))
    assert stretch_of(squeezed) == pytest.approx(1.5)
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    found = WindowPredictor.of(squeezed)._scaled(image)
    np.testing.assert_array_equal(found, resize(image, (32, 64)))


@pytest.mark.parametrize("shape", [(1, 1), (480, 3), (31, 500), (200, 101), (7, 5)])
def test_class_maps_have_the_size_of_the_photo(network, shape) -> None:
    mask = windows(network).predict(photo(*shape))
    assert mask.shape == shape
    assert mask.dtype == np.uint8
    assert mask.max() < 3
