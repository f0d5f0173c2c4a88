"""Images of more than 8 bits a channel: one scale for the whole data set."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.tasks.data import load_data, open_source
from nas.tasks.data.depth import PixelScale
from nas.tasks.data.files import read_image

PICTURES = [np.random.default_rng(n).integers(20, 200, (12, 16), np.uint8) for n in range(12)]
STEMS = [f"a{chr(97 + n)}" for n in range(12)]


def folder(root: Path, suffix: str, stored) -> Path:
    """Write grey pictures, converted by a function, with masks of two halves."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    mask = np.zeros((12, 16), np.uint8)
    mask[6:] = 1
    for stem, picture in zip(STEMS, PICTURES, strict=True):
        assert cv2.imwrite(str(root / "images" / f"{stem}{suffix}"), stored(picture))
        assert cv2.imwrite(str(root / "masks" / f"{stem}.png"), mask)
    return root


def colour(dtype: type, factor: float):
    return lambda picture: np.repeat((picture * np.float64(factor)).astype(dtype)[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("suffix", "stored", "said"),
    [
        (".png", lambda p: p, None),
        (".png", lambda p: p.astype(np.uint16) * 257, "0 to 65535 become 0 to 255"),
        (".png", lambda p: p.astype(np.uint16) * 16, "0 to 4095 become 0 to 255"),
        (".tif", lambda p: p.astype(np.uint16) * 4, "0 to 1023 become 0 to 255"),
        (".tif", lambda p: p.astype(np.uint16), "0 to 255 become 0 to 255"),
        (".png", colour(np.uint16, 16), "0 to 4095 become 0 to 255"),
        (".tif", colour(np.uint16, 257), "0 to 65535 become 0 to 255"),
        (".tif", lambda p: (p / 255).astype(np.float32), "0 to 1 become 0 to 255"),
        (".tif", lambda p: p.astype(np.float32), "0 to 255 become 0 to 255"),
        (".tif", colour(np.float32, 1 / 255), "0 to 1 become 0 to 255"),
        (".tif", lambda p: (p / 255).astype(np.float64), "0 to 1 become 0 to 255"),
    ],
)
def test_images_of_any_depth_give_the_same_pixels(
    tmp_path: Path, caplog, suffix: str, stored, said: str | None
) -> None:
    root = folder(tmp_path / "set", suffix, stored)
    with caplog.at_level(logging.DEBUG, logger="nas.tasks.data"):
        source = open_source(f"folder:{root}")
    for item in source.pool:
        picture = PICTURES[STEMS.index(item.name)].astype(int)
        assert np.abs(item.image() - picture[..., None]).max() <= 1
    told = [note for note in source.notes if "become 0 to 255" in note]
    assert (said is None) == (not told)
    if said is not None:
        assert said in told[0] and said in caplog.text


def test_dark_image_is_scaled_by_the_range_of_the_data_set(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ".png", lambda p: p.astype(np.uint16) * 16)
    dark = np.full((12, 16), 160, np.uint16)
    cv2.imwrite(str(root / "images" / "aa.png"), dark)
    (root / "unlabelled").mkdir()
    cv2.imwrite(str(root / "unlabelled" / "dim.png"), dark)
    data = load_data(f"folder:{root}", progress=False)
    source = open_source(f"folder:{root}")
    assert source.scale == PixelScale(whole=(0, 4095))
    assert set(np.unique(data.unlabelled.images)) == {10}
    # Prediction uses the scale of the checkpoint.
    kept = PixelScale.from_json(json.loads(json.dumps(source.scale.to_json())))
    assert kept == source.scale
    assert set(np.unique(read_image(root / "images" / "aa.png", kept))) == {10}
    # Without the scale of the data set, 160 is taken for 8 bits.
    assert set(np.unique(read_image(root / "images" / "aa.png"))) == {160}


def test_images_of_8_bits_are_not_scaled(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", ".tif", lambda p: p.astype(np.uint16) * 16)
    cv2.imwrite(str(root / "images" / "aa.tif"), PICTURES[0])
    np.testing.assert_array_equal(read_image(root / "images" / "aa.tif", PixelScale((0, 4095)))[..., 1], PICTURES[0])


@pytest.mark.parametrize(
    ("scale", "values", "wanted"),
    [
        (PixelScale(real=(0.0, 1.0)), [-0.5, 0.0, 0.5, 1.5, np.nan, np.inf], [0, 0, 128, 255, 0, 255]),
        (PixelScale(real=(-100.0, 100.0)), [-100, 0, 100], [0, 128, 255]),
        (PixelScale(), [0.0, 2.0, 4.0], [0, 128, 255]),
        (PixelScale(), [-2.0, 0.0, 2.0], [0, 128, 255]),
        (PixelScale(), [3.0, 3.0, 3.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled_by_the_range_of_the_data_set_or_their_own(
    scale: PixelScale, values: list, wanted: list
) -> None:
    found = scale.apply(np.array([values], np.float32))
    assert found.shape == (1, len(values), 3) and found[0, :, 0].tolist() == wanted
