"""`folder:PATH`, the layout for a user's own data."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.training import class_pixels
from tasks.data import load_data, open_source


def load(root: Path, labels: str = "all", **more):
    return load_data(f"folder:{root}", labels, progress=False, **more)


def test_classes_are_found_by_scanning(make_folder) -> None:
    data = load(make_folder())
    assert data.classes == ("0", "1", "2")
    assert data.name == "folder:mine"
    parts = (data.labelled, data.unlabelled, data.validation, data.test)
    assert [len(part) for part in parts] == [6, 0, 3, 3]
    assert data.unlabelled.images.shape == (0, 12, 16, 3)


def test_without_a_word_on_labels_all_masks_are_used(make_folder) -> None:
    root = make_folder()
    everything = load_data(f"folder:{root}", progress=False)
    assert len(everything.labelled) == 6
    assert len(load(root, "1/3").labelled) == 2


def test_masks_as_jpeg_are_refused(make_folder) -> None:
    root = make_folder()
    (root / "masks" / "ab.png").rename(root / "masks" / "ab.jpg")
    with pytest.raises(UserError, match=r"ab\.jpg: JPEG changes class numbers along every edge"):
        load(root)


def test_a_set_is_no_other_domain_however_it_is_spelt(make_folder) -> None:
    root = make_folder()
    same = load(root, "2", unlabelled=f"folder:{root}/../{root.name}/")
    assert same.name == "folder:mine"
    assert not set(same.labelled.names) & set(same.unlabelled.names)


def test_pixels_are_those_written(make_folder) -> None:
    data = load(make_folder())
    number = ["aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai", "aj", "ak", "al"].index(data.labelled.names[0])
    image = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    mask = np.random.default_rng(number).integers(0, 3, (12, 16))
    np.testing.assert_array_equal(data.labelled.images[0], image)
    np.testing.assert_array_equal(data.labelled.masks[0, 1:], mask[1:])
    assert (data.labelled.masks[0, 0] == 255).all()
    counts = [int((data.labelled.masks == index).sum()) for index in range(3)]
    assert class_pixels(data.labelled, len(data.classes)) == counts


def test_binary_masks_of_0_and_255(make_folder, write_mask) -> None:
    root = make_folder()
    for path in (root / "masks").iterdir():
        write_mask(path, np.indices((12, 16))[1] % 2 * 255)
    data = load(root)
    assert data.classes == ("background", "foreground")
    assert set(np.unique(data.test.masks)) == {0, 1}


def test_named_classes_with_void(make_folder) -> None:
    root = make_folder()
    (root / "classes.json").write_text(json.dumps(["road", "void", "car"]))
    data = load(root)
    assert data.classes == ("road", "car")
    assert set(np.unique(data.labelled.masks)) == {0, 1, 255}


def test_colour_masks(make_folder, write_mask) -> None:
    root = make_folder()
    colours = np.array([(5, 5, 5), (200, 0, 0), (0, 0, 200)])
    index = np.indices((12, 16)).sum(0) % 3
    for path in (root / "masks").iterdir():
        write_mask(path, colours[index])
    with pytest.raises(UserError, match=r"classes\.json"):
        load(root)
    (root / "classes.json").write_text(
        json.dumps(
            {
                "classes": [{"name": "a", "colour": [200, 0, 0]}, {"name": "b", "color": [5, 5, 5]}],
                "void": [[0, 0, 200]],
            }
        )
    )
    data = load(root)
    assert data.palette == ((200, 0, 0), (5, 5, 5))
    np.testing.assert_array_equal(data.test.masks[0], np.array([1, 0, 255])[index])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ('"road"', "list of class names"),
        ('["road"]', "1 classes"),
        ('["road", "road"]', "road twice"),
        ('["a", {"colour": [1, 2, 3]}]', "entry 1 has no name"),
        ('["a", {"name": "b", "colour": [1, 2]}]', "colour of b"),
        ('[{"name": "a", "colour": [1, 2, 3]}, {"name": "b", "colour": [1, 2, 3]}]', "another class"),
    ],
)
def test_classes_json_errors(make_folder, content: str, message: str) -> None:
    root = make_folder()
    (root / "classes.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load(root)


def test_a_value_beyond_the_named_classes(make_folder) -> None:
    root = make_folder()
    (root / "classes.json").write_text('["road", "car"]')
    with pytest.raises(UserError, match=r"\.png: value 2 "):
        load(root)


def test_subfolders_are_splits(tmp_path: Path, write_image, write_mask) -> None:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        for n in range(count):
            write_image(tmp_path / "images" / split / f"{n}.webp")
            write_mask(tmp_path / "masks" / split / f"{n}_mask.png", np.indices((12, 16))[0] % 2)
    data = load(tmp_path)
    assert data.labelled.names == tuple(f"train/{n}" for n in range(5))
    assert data.validation.names == ("val/0", "val/1")
    assert len(data.test) == 3


def test_split_lists_and_declared_labels(make_folder) -> None:
    root = make_folder()
    (root / "splits").mkdir()
    for name, stems in {
        "train": "aa ab ac ad ae af",
        "val": "ag ah",
        "test": "ai aj",
        "labelled_1_3": "ab ad",
    }.items():
        (root / "splits" / f"{name}.txt").write_text("\n".join(stems.split()))
    data = load(root, "1/3")
    assert data.labelled.names == ("ab", "ad")
    assert data.unlabelled.names == ("aa", "ac", "ae", "af")
    assert (data.validation.names, data.test.names) == (("ag", "ah"), ("ai", "aj"))
    (root / "splits" / "test.txt").write_text("aa\nai\n")
    with pytest.raises(UserError, match="aa is in pool and test"):
        load(root)


def test_unlabelled_folder_and_a_broken_image(make_folder, write_image, caplog) -> None:
    root = make_folder()
    for n in range(3):
        write_image(root / "unlabelled" / f"u{n}.jpg", (30, 40), seed=n)
    (root / "unlabelled" / "u1.jpg").write_bytes((root / "unlabelled" / "u1.jpg").read_bytes()[:500])
    with caplog.at_level(logging.WARNING):
        data = load(root)
    assert data.unlabelled.names == ("unlabelled/u0", "unlabelled/u2")
    assert data.unlabelled.images.shape == (2, 12, 16, 3) and data.unlabelled.images[1].any()
    assert data.unlabelled.masks is None
    assert "unlabelled images skipped: 1: " in caplog.text and "u1.jpg" in caplog.text
    assert "another shape" not in caplog.text


def test_unlabelled_images_of_another_size_are_named(make_folder, write_image, caplog) -> None:
    root = make_folder()
    for name, size in (("tall", (90, 30)), ("tiny", (2, 2)), ("twice", (24, 32)), ("other", (30, 44))):
        write_image(root / "unlabelled" / f"{name}.png", size)
    with caplog.at_level(logging.WARNING):
        data = load(root)
    assert set(data.unlabelled.names) == {"unlabelled/tall", "unlabelled/twice", "unlabelled/other"}
    skipped, squeezed = (record.getMessage() for record in caplog.records[-2:])
    assert skipped.startswith("unlabelled images skipped: 1: ") and "tiny.png has 2x2 pixels" in skipped
    assert squeezed.startswith("unlabelled images of another shape, squeezed to 12x16: 1: ")
    assert "tall.png (90x30)" in squeezed


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_broken_labelled_file_is_named(make_folder, part: str) -> None:
    root = make_folder()
    (root / "classes.json").write_text('["a", "b", "c"]')
    (root / part / "ac.png").write_bytes((root / part / "ac.png").read_bytes()[:60])
    with pytest.raises(UserError, match=rf"{part}/ac\.png is broken"):
        load(root)
    (root / part / "ac.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"ac\.png is an empty file"):
        load(root)


def test_a_mask_of_another_size(make_folder, write_mask) -> None:
    root = make_folder()
    write_mask(root / "masks" / "ad.png", np.zeros((16, 12)))
    with pytest.raises(UserError, match=r"ad\.png is 12 x 16 pixels and its image .*ad\.png is 16 x 12"):
        load(root)


def test_two_files_of_one_stem(make_folder, write_image) -> None:
    root = make_folder()
    write_image(root / "images" / "aa.jpg")
    with pytest.raises(UserError, match=r"aa\.jpg and aa\.png share a stem"):
        open_source(f"folder:{root}")
