"""classes.json and classes.txt, and files that look like them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.tasks.data import open_source
from nas.tasks.data.readers.class_table import find_class_table, read_class_table

JSON = ["road", "car", "void"]
COLOURED = [{"name": "road", "colour": [128, 64, 128]}, {"name": "parked car", "colour": [0, 0, 142]}]
NUMBERED = [{"name": "road", "value": 7}, {"name": "parked car", "value": 3}]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("road\ncar\nvoid\n", JSON),
        ("# the classes\r\nroad \r\n\r\n car\r\nvoid", JSON),
        ("road 128 64 128\nparked car 0 0 142\n", COLOURED),
        ("road,128,64,128\nparked car,0,0,142\n", COLOURED),
        ("road: 128, 64, 128\nparked car: 0, 0, 142\n", COLOURED),
        ("7 road\n3 parked car", NUMBERED),
        ("7: road\n3: parked car", NUMBERED),
        ("2 wheels\ncar", ["2 wheels", "car"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_file_equals_json(tmp_path: Path, text: str, content: list, encoding: str) -> None:
    (tmp_path / "classes.json").write_text(json.dumps(content), encoding=encoding)
    (tmp_path / "classes.txt").write_bytes(text.encode(encoding))
    assert read_class_table(tmp_path / "classes.txt") == read_class_table(tmp_path / "classes.json")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n# none\n", r"classes\.txt names no class: write one name a line"),
        ("road\nroad", "names the class road twice"),
        ("road 300 0 0\ncar 1 2 3", r"the colour of road is \[300, 0, 0\]"),
        ("road", "names 1 classes"),
    ],
)
def test_invalid_text_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=why):
        read_class_table(tmp_path / "classes.txt")


def test_folder_with_classes_txt(make_folder) -> None:
    root = make_folder()
    (root / "classes.txt").write_text("road\n道路\nsky\n", encoding="utf-8")
    source = open_source(f"folder:{root}")
    assert source.classes == ("road", "道路", "sky")
    assert "1 is 道路" in source.notes[0]


@pytest.mark.parametrize(
    "name",
    [
        "Classes.json",
        "CLASSES.TXT",
        "labels.txt",
        "class_names.txt",
        "classes.csv",
        "labelmap.txt",
        "label-map.json",
        "label_colors.txt",
        "class_dict.csv",
        "classes.yaml",
        "categories.json",
        "class.names",
        "palette.json",
        "masks/classes.txt",
    ],
)
def test_file_that_looks_like_a_class_table_is_warned_of(make_folder, caplog, name: str) -> None:
    root = make_folder()
    (root / name).write_text('["road", "car", "sky"]')
    if (root / "classes.json").is_file():  # on a file system that ignores case
        return
    assert open_source(f"folder:{root}").classes == ("0", "1", "2")
    assert f"{root / name} looks like a list of the classes and is not read: write {root}/classes.txt" in caplog.text


@pytest.mark.parametrize(
    "name", ["groups.csv", "readme.txt", "splits.json", "notes.md", "train.txt", "some_labels_1.txt"]
)
def test_other_files_are_not_warned_of(make_folder, caplog, name: str) -> None:
    root = make_folder()
    (root / name).write_text("aa.png,ab\n")
    open_source(f"folder:{root}")
    assert "looks like" not in caplog.text


def test_json_is_preferred_and_the_text_file_warned_of(make_folder, caplog) -> None:
    root = make_folder()
    (root / "classes.txt").write_text("a\nb\nc")
    (root / "classes.json").write_text('["d", "e", "f"]')
    table = find_class_table(root, root / "masks")
    assert table is not None and table.names == ("d", "e", "f")
    assert "classes.txt looks like a list of the classes and is not read, since classes.json is" in caplog.text
