"""Merged classes: masks, colours and names against a loop, with any reader, and invalid groups."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nas.cli.evaluate import main as evaluate
from nas.cli.search import main as search
from nas.cli.splits import load_split
from nas.errors import UserError
from nas.export import load_checkpoint, save_checkpoint
from nas.tasks.data import VOID, load_data, open_source, read_groups
from nas.tasks.data.palettes import CITYSCAPES

GROUPS = {"thing": ["2", "0"], "stuff": ["1"]}
SIZE = (12, 16)


def test_masks_are_merged_and_images_unchanged(make_folder) -> None:
    spec = f"folder:{make_folder()}"
    plain = load_data(spec, "3", progress=False)
    grouped = load_data(spec, "3", progress=False, group_classes=GROUPS)
    assert grouped.classes == ("thing", "stuff")
    assert grouped.palette == (plain.palette[2], plain.palette[1])
    for name in ("labelled", "unlabelled", "validation", "test"):
        before, after = getattr(plain, name), getattr(grouped, name)
        assert before.names == after.names
        np.testing.assert_array_equal(before.images, after.images)
        if before.masks is not None:
            wanted = [{0: 0, 1: 1, 2: 0, 255: 255}[value] for value in before.masks.ravel().tolist()]
            assert after.masks.ravel().tolist() == wanted


@pytest.mark.parametrize("void", ["void", "Void", "VOID"])
def test_classes_under_void_become_void_at_any_size(make_folder, void: str) -> None:
    spec = f"folder:{make_folder(size=(16, 24))}"
    groups = {"a": ["0"], "b": ["2"], void: ["1"]}
    plain = load_data(spec, "all", size=(8, 12), progress=False)
    grouped = load_data(spec, "all", size=(8, 12), progress=False, group_classes=groups)
    assert grouped.classes == ("a", "b")
    expected = np.select([plain.test.masks == 0, plain.test.masks == 2], [0, 1], VOID)
    np.testing.assert_array_equal(grouped.test.masks, expected)


def test_shipped_file_for_cityscapes(tmp_path: Path, write_image, write_mask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 12), ("val", 2)):
        for n in range(count):
            stem = f"ulm_{n:06d}_000019"
            if split == "val":
                stem = stem.replace("ulm", "lindau")
            city = stem.split("_")[0]
            write_image(tmp_path / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", SIZE, n)
            mask = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 20
            mask[mask == 19] = 255
            write_mask(tmp_path / "gtFine" / split / city / f"{stem}_gtFine_labelTrainIds.png", mask)
    data = load_data(f"cityscapes:{tmp_path}", "all", progress=False, group_classes="presets/cityscapes_4.json")
    assert data.classes == ("road", "vehicle", "person", "background")
    assert data.palette == tuple(CITYSCAPES[name] for name in ("road", "car", "person", "sidewalk"))
    names = [*CITYSCAPES, "void"]
    for value, group in (("road", 0), ("bicycle", 1), ("rider", 2), ("sky", 3), ("void", 255)):
        assert data.test.masks[0].ravel()[names.index(value)] == group


def test_both_domains_are_merged() -> None:
    groups = {"up": ["sky", "building", "tree", "pole", "sign"], "down": ["road", "pavement", "car", "person"]}
    day, night = open_source("scenes:day", group_classes=groups), open_source("scenes:night", group_classes=groups)
    assert day.classes == night.classes == ("up", "down")
    assert set(np.unique(night.validation[0].mask((16, 24)))) <= {0, 1, 255}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": ["0", "1"], "b": ["2", "car"]}, "group b: folder:mine has no class 'car'; its classes are 0, 1, 2"),
        ({"a": ["0"], "b": ["2"]}, "folder:mine: no group contains 1: add them to a group, or to 'void'"),
        ({"a": ["0", "1"], "b": ["2", "1"]}, "1 is in a and in b"),
        ({"a": ["0", "0"], "b": ["2", "1"]}, "0 is twice in a"),
        ({"a": ["0", "1", "2"], "b": []}, "group b is empty"),
        ({"a": ["0", "1", "2"]}, "at least 2 groups"),
        ({"a": ["0", "1"], "void": ["2"]}, "at least 2 groups"),
        ({"a": "0", "b": ["1", "2"]}, "group a is '0': write a list"),
        ({"a": [0], "b": ["1", "2"]}, r"group a is \[0\]: write a list"),
        ({"": ["0"], "b": ["1", "2"]}, "a group has no name"),
        ({"a": ["0"], "void": ["1"], "Void": ["2"]}, "group void occurs twice"),
        (["0", "1"], "an object of lists"),
    ],
)
def test_invalid_groups_are_refused_in_one_line(make_folder, tmp_path: Path, groups, message: str) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps(groups))
    with pytest.raises(UserError, match=message) as error:
        load_data(f"folder:{make_folder()}", "3", progress=False, group_classes=file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read: No such file"), ("{", "is not valid JSON")])
def test_invalid_file_ends_the_command_with_exit_code_2(
    make_folder, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("groups.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_groups("groups.json")
    spec = f"folder:{make_folder()}"
    with pytest.raises(SystemExit) as ended:
        search(["--space", "unet.py", "--budget", "1", "--data", spec, "--group-classes", "groups.json"])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in error and error.count("\n") == 1
    assert not Path("runs").exists()


def test_checkpoint_keeps_its_groups(make_folder, tmp_path: Path, capsys) -> None:
    from nas.models import Encoder, Stage, UNet, build_network
    from nas.space import Recipe
    from nas.tasks import Supervised

    spec = f"folder:{make_folder()}"
    data = load_data(spec, "3", progress=False, group_classes=GROUPS)
    recipe = Recipe(Encoder((Stage(width=2),)), UNet(), method=Supervised())
    path = tmp_path / "best.safetensors"
    provenance = {"data": {"spec": spec, "group_classes": GROUPS}}
    save_checkpoint(path, build_network(recipe, 2), recipe, data, {}, provenance)
    loaded = load_checkpoint(path)
    np.testing.assert_array_equal(load_split(loaded, "test").masks, data.test.masks)
    # The groups also apply to the same data given by --data, unless --group-classes gives others.
    np.testing.assert_array_equal(load_split(loaded, "test", spec).masks, data.test.masks)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"thing": ["1"], "stuff": ["0", "2"]}))
    flipped = load_split(loaded, "test", group_classes=str(other)).masks
    known = data.test.masks != VOID
    np.testing.assert_array_equal(flipped[known], 1 - data.test.masks[known])
    with pytest.raises(SystemExit) as ended:
        evaluate([str(path), "--group-classes", str(tmp_path / "gone.json")])
    assert ended.value.code == 2
    assert "gone.json cannot be read" in capsys.readouterr().err
