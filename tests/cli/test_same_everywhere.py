"""nas-predict, Python and the code of each model card give the same class map of a photo."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import nas
from nas.cli.export import main as export
from nas.cli.predict import main as predict

SHAPES = [(32, 48), (480, 640), (400, 225), (90, 1000), (21, 30)]
"""Height and width: the training size, larger, portrait, a panorama, and smaller than the training size."""

FORMATS = ("safetensors", "onnx", "pt2")


@pytest.fixture(scope="module")
def photos(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    image = cv2.imread(str(data_folder / "images" / "test" / "0.png"))
    for number, (height, width) in enumerate(SHAPES):
        photo = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.{'jpg' if number % 2 else 'png'}"), photo)
    turned = Image.Exif()
    turned[0x0112] = 6  # rotated by 90 degrees, as phones store upright photos
    Image.open(folder / "1.jpg").save(folder / "turned.jpg", exif=turned, quality=95)
    return folder


@pytest.fixture(scope="module")
def masks(trained: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Masks that nas-predict writes, by photo."""
    out = tmp_path_factory.mktemp("masks")
    with pytest.raises(SystemExit) as ended:
        predict([str(trained.parent), str(photos), "--out", str(out), "--write", "masks", "--device", "cpu"])
    assert not ended.value.code
    return {photo.name: np.asarray(Image.open(out / f"{photo.stem}_mask.png")) for photo in sorted(photos.iterdir())}


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.uint8
    return float((one == other).mean())


def test_the_photos_are_of_several_shapes_and_show_several_classes(masks) -> None:
    assert {mask.shape for mask in masks.values()} == {*SHAPES, SHAPES[1][::-1]}
    assert all(len(np.unique(mask)) > 1 for mask in masks.values())


def test_python_predicts_the_masks_of_nas_predict(trained, photos, masks) -> None:
    predictor = nas.predictor(trained)
    for name, mask in masks.items():
        np.testing.assert_array_equal(predictor.predict(photos / name), mask)


@pytest.mark.parametrize("format", FORMATS)
def test_the_code_of_the_card_predicts_the_masks_of_nas_predict(
    trained, photos, masks, format, typed, tmp_path, monkeypatch
) -> None:
    if format == "onnx" and importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("the onnx extra is not installed")
    assert typed(export, trained, "--format", format, "--out", tmp_path / f"net.{format}").code == 0
    found = re.search(r"```python\n(.*?)```", (tmp_path / f"net.{format}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found[1]
    if format != "safetensors":
        assert "nas" not in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    for name, mask in masks.items():
        exec(code.replace("photo.jpg", str(photos / name)), {})
        assert agreement(np.asarray(Image.open("classes.png")), mask) >= 0.999, name
