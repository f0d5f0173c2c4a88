"""`folder:PATH`, the layout of a user's own images."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import load_data, open_source
from nas.tasks.data.files import decode_image
from nas.training import class_pixels


def load(root: Path, labels: str = "all", **more):
    """Load with a ranking split, even if there are few images."""
    return load_data(f"folder:{root}", labels, progress=False, **{"folds": 0, **more})


def test_classes_are_found_by_scanning(make_folder) -> None:
    data = load(make_folder())
    assert data.classes == ("0", "1", "2")
    assert data.name == "folder:mine"
    parts = (data.labelled, data.unlabelled, data.validation, data.test)
    assert [len(part) for part in parts] == [6, 0, 3, 3]
    assert data.unlabelled.images.shape == (0, 12, 16, 3)


def test_default_is_all_labels(make_folder) -> None:
    root = make_folder()
    everything = load(root, None)
    assert len(everything.labelled) == 6
    assert len(load(root, "1/3").labelled) == 2


@pytest.mark.parametrize("kind", [".jpg", ".webp"])
def test_lossy_masks_are_refused_whatever_their_suffix(make_folder, kind: str) -> None:
    root = make_folder()
    mask = root / "masks" / "ab.png"
    pixels = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
    mask.write_bytes(cv2.imencode(kind, pixels, [cv2.IMWRITE_WEBP_QUALITY, 50])[1].tobytes())
    with pytest.raises(UserError, match=r"ab\.png: JPEG changes class numbers along every edge"):
        load(root)
    (root / "classes.json").write_text('["road", "car", "sky"]')
    with pytest.raises(UserError, match=r"ab\.png: JPEG"):
        load(root)


def paint(root: Path, foreground: int = 255) -> None:
    """Write masks whose halves are 0 and the value of the foreground."""
    for path in (root / "masks").iterdir():
        mask = np.zeros((12, 16), np.uint8)
        mask[6:] = foreground
        cv2.imwrite(str(path), mask)


@pytest.mark.parametrize(
    "table",
    [
        None,
        ["background", "foreground"],
        [{"name": "background", "colour": [0, 0, 0]}, {"name": "foreground", "colour": [255, 255, 255]}],
        [{"name": "background"}, {"name": "foreground", "value": 255}],
    ],
)
def test_black_and_white_masks_have_two_classes(make_folder, table) -> None:
    root = make_folder()
    paint(root)
    if table is not None:
        (root / "classes.json").write_text(json.dumps(table))
    data = load(root)
    assert data.classes == ("background", "foreground")
    assert (data.labelled.masks[:, :6] == 0).all() and (data.labelled.masks[:, 6:] == 1).all()


def test_void_masks_are_refused_and_absent_classes_warned_of(make_folder, caplog) -> None:
    root = make_folder()
    paint(root, 1)
    (root / "classes.json").write_text('["background", "car", "kerb"]')
    load(root)
    assert "no image shows the class kerb" in caplog.text
    others = [{"name": "background", "value": 2}, {"name": "car", "value": 3}]
    (root / "classes.json").write_text(json.dumps({"classes": others, "void": [0, 1]}))
    with pytest.raises(UserError, match="all pixels of the labelled masks are void"):
        load(root)


def test_number_in_the_common_end_of_names_does_not_count_frames(tmp_path: Path) -> None:
    root = tmp_path / "film"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for frame in range(60):
        cv2.imwrite(str(root / "images" / f"cam_{frame:04d}_1080p.png"), np.zeros((12, 16, 3), np.uint8))
        cv2.imwrite(str(root / "masks" / f"cam_{frame:04d}_1080p.png"), np.eye(12, 16, dtype=np.uint8))
    source = open_source(f"folder:{root}")
    frames = [[int(item.name.split("_")[1]) for item in part] for part in (source.pool, source.validation, source.test)]
    assert max(frames[0]) + 2 < min(frames[1]) and max(frames[1]) + 2 < min(frames[2])


def test_split_lists_may_be_capitalised_and_unknown_ones_are_refused(make_folder) -> None:
    root = make_folder()
    (root / "splits").mkdir()
    (root / "splits" / "Train.txt").write_text("aa\nab\nac\nad\nae\naf\n")
    (root / "splits" / "Val.txt").write_text("ag\nah\n")
    assert [item.name for item in open_source(f"folder:{root}").test] == ["ag", "ah"]
    (root / "splits" / "eval.txt").write_text("ai\n")
    with pytest.raises(UserError, match=r"eval\.txt is not the list of a known split: .* known are pool\.txt"):
        open_source(f"folder:{root}")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ([{"name": "road", "value": 1}, "car"], "car has the same value as road, 1: give each its own"),
        ([{"name": "road", "id": 5}, "car"], "road has an unknown key 'id': use name, colour, value and void"),
        ([{"name": "road", "void": "false"}, "car"], "void of road is 'false': write true or false"),
        ([{"name": "road", "value": True}, "car"], "the value of road is True: write an integer from 0 to 65535"),
        ({"classes": ["road", "car"], "void": -1}, "void holds -1, which is neither a value nor a colour"),
        ({"classes": ["road", "car"], "void": [70000]}, "void holds 70000, which is neither a value nor a colour"),
    ],
)
def test_contradictory_or_unknown_entries_of_a_class_table_are_refused(make_folder, table, why: str) -> None:
    root = make_folder()
    (root / "classes.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match=re.escape(why)):
        load(root)


def test_float_masks_may_hold_integers_only(make_folder) -> None:
    root = make_folder()
    mask = np.eye(12, 16, dtype=np.float32)
    (root / "masks" / "ab.png").unlink()
    cv2.imwrite(str(root / "masks" / "ab.tiff"), mask)
    (root / "classes.json").write_text('["road", "car", "sky"]')
    source = open_source(f"folder:{root}")
    found = next(item for item in source.pool if item.name == "ab")
    np.testing.assert_array_equal(found.mask(), mask)
    cv2.imwrite(str(root / "masks" / "ab.tiff"), mask / 2)
    with pytest.raises(UserError, match=r"ab\.tiff has values other than the integers 0 to 65535"):
        found.mask()


def test_trailing_data_of_phones_is_ignored_and_truncation_found(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    trailer = np.random.default_rng(1).integers(0, 256, 200_000, np.uint8).tobytes() + b"\xff\xda\x00"
    path = tmp_path / "photo.jpg"
    np.testing.assert_array_equal(decode_image(data + trailer, path), decode_image(data, path))
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    with_thumbnail = data[:2] + thumbnail + data[2:]
    np.testing.assert_array_equal(decode_image(with_thumbnail, path), decode_image(data, path))
    for cut in (data[: len(data) // 2], data[:-40], with_thumbnail[:-40], with_thumbnail[: len(thumbnail) + 100]):
        with pytest.raises(UserError, match="is broken"):
            decode_image(cut, path)


def test_same_path_spelt_differently_is_the_same_data_set(make_folder) -> None:
    root = make_folder()
    same = load(root, "2", unlabelled=f"folder:{root}/../{root.name}/")
    assert same.name == "folder:mine"
    assert not set(same.labelled.names) & set(same.unlabelled.names)


def test_pixels_are_as_written(make_folder) -> None:
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
        ('{"classes": ["a", "b"], "void": [0]}', "void holds 0, which belongs to a: remove one"),
        (
            '{"classes": [{"name": "a", "colour": [1, 2, 3]}, "b"], "void": [[1, 2, 3]]}',
            r"void holds \[1, 2, 3\], which belongs to a",
        ),
    ],
)
def test_classes_json_errors(make_folder, content: str, message: str) -> None:
    root = make_folder()
    (root / "classes.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load(root)


def test_value_of_no_class_is_refused(make_folder) -> None:
    root = make_folder()
    (root / "classes.json").write_text('["road", "car"]')
    with pytest.raises(UserError, match=r"\.png: value 2 "):
        load(root)


def test_subfolders_are_splits(tmp_path: Path, write_image, write_mask) -> None:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        for n in range(count):
            write_image(tmp_path / "images" / split / f"{n}.webp", seed=10 * count + n)
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
    # A declared list may name ranking images, like any other list.
    (root / "splits" / "labelled_1_2.txt").write_text("ab\nag\n")
    data = load(root, "1/2")
    assert (data.labelled.names, data.taken_from_ranking, data.validation.names) == (("ab", "ag"), ("ag",), ("ah",))
    (root / "splits" / "labelled_1_2.txt").write_text("ab\n./\n")
    with pytest.raises(UserError, match=r"\./ is not an image of this data set"):
        load(root, "1/2")
    (root / "splits" / "test.txt").write_text("aa\nai\n")
    with pytest.raises(UserError, match="aa is in pool and test"):
        load(root)


def test_unlabelled_copies_of_held_out_images_are_left_out(make_folder, write_image, caplog) -> None:
    root = make_folder()
    write_image(root / "unlabelled" / "new.png", seed=99)
    source = open_source(f"folder:{root}")
    for split in ("pool", "validation", "test"):
        of = getattr(source, split)[0].name
        shutil.copy(root / "images" / f"{of}.png", root / "unlabelled" / f"{split}.png")
    again = open_source(f"folder:{root}")
    assert [item.name for item in again.extra] == ["unlabelled/new", "unlabelled/pool"]
    what = "unlabelled copies of"
    assert [(out.reason, out.count) for out in again.left_out] == [(f"{what} test images", 1)]
    load(root)
    assert f"left out: 1 {what} test images, the first is unlabelled/test" in caplog.text
    assert f"left out: 1 {what} ranking images, the first is unlabelled/validation" in caplog.text
    # With folds, candidates are ranked on the labelled images.
    assert set(load(root, folds=3).unlabelled.names) == {"unlabelled/new", "unlabelled/pool", "unlabelled/validation"}


def test_files_of_tools_and_masks_without_image_are_ignored(make_folder, write_image, write_mask, caplog) -> None:
    root = make_folder()
    for junk in ("@eaDir/aa.png", ".thumbnails/aa.png", "train/.cache/aa.png", "._aa.png"):
        write_image(root / "images" / junk, (2, 2))
    write_mask(root / "masks" / "lone.png", np.full((12, 16), 7))
    source = open_source(f"folder:{root}")
    assert source.classes == ("0", "1", "2") and len(source.pool) + len(source.validation) + len(source.test) == 12
    assert "1 mask without an image: not used" in caplog.text and "lone.png" in caplog.text


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


def test_pool_images_of_another_shape_are_named(make_folder, write_image, write_mask, caplog) -> None:
    root = make_folder()
    pool = [item.name for item in open_source(f"folder:{root}").pool]
    write_image(root / "images" / f"{pool[0]}.png", (90, 30))
    write_mask(root / "masks" / f"{pool[0]}.png", np.zeros((90, 30)))
    (root / "some.txt").write_text("\n".join(pool[1:4]))
    load(root, str(root / "some.txt"), size=(12, 16), group_classes={"a": ["0"], "b": ["1", "2"]})
    assert "unlabelled images of another shape, squeezed to 12x16: 1: " in caplog.text
    assert f"{pool[0]}.png (90x30)" in caplog.text


def test_labelled_images_of_another_shape_are_named_unless_all_are(
    make_folder, write_image, write_mask, caplog
) -> None:
    root = make_folder()
    load(root, "1/1", size=(12, 40))
    assert "another shape" not in caplog.text
    tall = open_source(f"folder:{root}").pool[0].name
    write_image(root / "images" / f"{tall}.png", (90, 30))
    write_mask(root / "masks" / f"{tall}.png", np.zeros((90, 30)))
    load(root, "1/1", size=(12, 16), group_classes={"a": ["0"], "b": ["1", "2"]})
    assert caplog.text.count("another shape") == 1
    assert " labelled images of another shape, squeezed to 12x16: 1: " in caplog.text
    assert f"{tall}.png (90x30)" in caplog.text


def test_a_broken_mask_that_is_not_needed(make_folder, caplog) -> None:
    root = make_folder()
    (root / "classes.json").write_text('["a", "b", "c"]')
    pool = [item.name for item in open_source(f"folder:{root}").pool]
    labelled = load(root, "3").labelled.names
    spared = next(name for name in pool if name not in labelled)
    (root / "masks" / f"{spared}.png").write_bytes(b"junk")
    assert spared in load(root, "3").unlabelled.names
    assert "masks that cannot be read, counted as showing no class: 1: " in caplog.text


def test_unsupported_formats_are_warned_of(make_folder, write_image, caplog) -> None:
    root = make_folder()
    write_image(root / "unlabelled" / "good.png")
    (root / "unlabelled" / "phone.HEIC").write_bytes(b"heic")
    assert len(open_source(f"folder:{root}").extra) == 1
    assert "unsupported formats: 1 image left out (1 HEIC), the first is " in caplog.text
    assert "convert to JPEG" in caplog.text


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
