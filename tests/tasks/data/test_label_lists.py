"""Published lists of labels, on the layouts of their data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import load_data, open_source
from nas.tasks.data.items import FileItem
from nas.tasks.data.stems import pick, read_stems

SIZE = (12, 16)


@pytest.fixture
def cityscapes(tmp_path: Path, write_image, write_mask) -> Path:
    """Three training cities of 12 frames: 4 for ranking, and 2 in the gap before them."""
    root = tmp_path / "cityscapes"
    for split, city, count in (
        ("train", "aachen", 12),
        ("train", "bochum", 12),
        ("train", "ulm", 12),
        ("val", "lindau", 2),
    ):
        for n in range(count):
            stem = f"{city}_{n:06d}_000019"
            write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", SIZE, n)
            write_mask(root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png", np.full(SIZE, 7 + n % 2))
    return root


LINES = {
    "folders": "train/{city}/{stem}_leftImg8bit.png",
    "city": "{city}/{stem}",
    "bare": "{stem}",
    "bare with what the file adds": "{stem}_leftImg8bit",
    "image and mask": "leftImg8bit/train/{city}/{stem}_leftImg8bit.png gtFine/{city}/{stem}_gtFine_labelTrainIds.png",
    "tab": "leftImg8bit/train/{city}/{stem}_leftImg8bit.png\tgtFine/train/{city}/{stem}_gtFine_labelIds.png",
    "absolute, comma": "/data/leftImg8bit/train/{city}/{stem}_leftImg8bit.png, /data/{stem}_gtFine_labelIds.png",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_published_line_formats(cityscapes: Path, tmp_path: Path, line: str) -> None:
    stems = ("aachen_000000_000019", "ulm_000003_000019")
    file = tmp_path / "labelled.txt"
    file.write_text("\n".join(line.format(city=stem.split("_")[0], stem=stem) for stem in stems))
    data = load_data(f"cityscapes:{cityscapes}", str(file), folds=0, progress=False)
    assert data.labelled.names == stems
    assert len(data.unlabelled) == 18 - 2 and len(data.validation) == 12


def test_list_may_name_ranking_images_and_those_in_gaps(cityscapes: Path, tmp_path: Path, caplog) -> None:
    """Published lists are drawn from all training images."""
    source = open_source(f"cityscapes:{cityscapes}")
    assert [len(part) for part in (source.pool, source.validation, source.spare, source.test)] == [18, 12, 6, 2]
    listed = (source.pool[0].name, source.spare[0].name, source.validation[0].name)
    file = tmp_path / "labelled.txt"
    file.write_text("\n".join(listed))
    data = load_data(f"cityscapes:{cityscapes}", str(file), folds=0, progress=False)
    assert set(data.labelled.names) == set(listed)
    parts = (data.labelled, data.unlabelled, data.validation, data.test)
    assert [len(part) for part in parts] == [3, 17, 11, 2]
    assert len({name for part in parts for name in part.names}) == 33
    assert "the list of labels takes 1 image from the ranking split and leaves 11" in caplog.text


def test_without_holdout_the_training_split_is_the_pool(cityscapes: Path, tmp_path: Path) -> None:
    """A single network is trained on the whole training split, as in papers."""
    spec = f"cityscapes:{cityscapes}"
    source = open_source(spec)
    everything = {item.name for item in (*source.pool, *source.validation, *source.spare)}
    listed = (source.pool[0].name, source.spare[0].name, *(item.name for item in source.validation))
    file = tmp_path / "labelled.txt"
    file.write_text("\n".join(listed))
    data = load_data(spec, str(file), progress=False, holdout=False)
    assert set(data.labelled.names) == set(listed)
    assert set(data.unlabelled.names) == everything - set(listed)
    assert data.validation is data.test and set(data.test.names) == {item.name for item in source.test}
    file.write_text("\n".join(everything))
    assert len(load_data(spec, str(file), progress=False, holdout=False).labelled) == len(everything) == 36
    assert len(load_data(spec, "1/4", progress=False, holdout=False).labelled) == 9
    file.write_text(source.test[0].name)
    with pytest.raises(UserError, match="is not an image"):
        load_data(spec, str(file), progress=False, holdout=False)


def test_lists_may_not_name_test_images_or_all_ranking_images(cityscapes: Path, tmp_path: Path) -> None:
    file = tmp_path / "labelled.txt"
    file.write_text("val/lindau/lindau_000000_000019_leftImg8bit.png\n")
    with pytest.raises(UserError, match=r"lindau_000000_000019_leftImg8bit is not an image"):
        load_data(f"cityscapes:{cityscapes}", str(file), folds=0, progress=False)
    validation = open_source(f"cityscapes:{cityscapes}").validation
    file.write_text("\n".join(item.name for item in validation))
    with pytest.raises(UserError, match="all 12 images held out for ranking"):
        load_data(f"cityscapes:{cityscapes}", str(file), folds=0, progress=False)


@pytest.mark.parametrize(("labels", "count"), [("1/8", 2), ("1/4", 4), ("1/2", 9)])
def test_fractions_are_of_the_pool(cityscapes: Path, labels: str, count: int) -> None:
    data = load_data(f"cityscapes:{cityscapes}", labels, folds=0, progress=False)
    assert (len(data.labelled), len(data.unlabelled)) == (count, 18 - count)
    assert len(data.classes) == 19


def test_folders_in_a_list_must_match() -> None:
    items = {name: FileItem(name, Path(f"/d/images/{name}.png")) for name in ("train/a", "val/a", "train/b")}

    def picked(*stems: str) -> list[str]:
        return [item.name for item in pick(items, stems, "list")]

    assert picked("b") == picked("images/train/b") == ["train/b"]
    assert picked("val/a") == ["val/a"]
    with pytest.raises(UserError, match="several folders"):
        picked("a")
    with pytest.raises(UserError, match="val/b is not an image"):
        picked("val/b")


def test_names_with_spaces_are_no_pairs(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("my photo 1.png\nmy photo 2\n/JPEGImages/2007_000032.jpg /SegmentationClass/2007_000032.png\n")
    assert read_stems(file) == ("my photo 1", "my photo 2", "/JPEGImages/2007_000032")


def test_voc_lists_of_pairs(tmp_path: Path, write_image, write_mask) -> None:
    root = tmp_path / "VOC2012"
    stems = [f"2007_{n:06d}" for n in range(14)]
    for stem in stems:
        write_image(root / "JPEGImages" / f"{stem}.jpg", SIZE)
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            write_mask(root / folder / f"{stem}.png", np.full(SIZE, 15))
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    pairs = (f"/JPEGImages/{stem}.jpg /SegmentationClassAug/{stem}.png" for stem in stems[:12])
    (lists / "trainaug.txt").write_text("\n".join(pairs))
    (lists / "val.txt").write_text("\n".join(stems[12:]))
    few = tmp_path / "few.txt"
    few.write_text(f"JPEGImages/{stems[0]}.jpg SegmentationClass/{stems[0]}.png\n")
    data = load_data(f"voc:{tmp_path}", str(few), progress=False)
    assert data.labelled.names == (stems[0],)
    assert data.test.names == tuple(stems[12:])
