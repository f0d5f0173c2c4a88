"""Readers find the splits, pairs and classes of small data sets in the real layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import load_data, open_source
from nas.tasks.data.palettes import ADE20K, CAMVID, CITYSCAPES, VOC

SIZE = (12, 16)


def load(spec: str, labels: str = "all", **more):
    return load_data(spec, labels, progress=False, **{"folds": 0, **more})


def names(items) -> list[str]:
    return [item.name for item in items]


@pytest.fixture
def segnet(tmp_path: Path, write_image, write_mask) -> Path:
    root = tmp_path / "camvid"
    stems = {
        "train": [f"0016E5_{n:05d}" for n in range(0, 600, 30)],
        "val": ["0016E5_07959"],
        "test": ["Seq05VD_f00000", "Seq05VD_f00030"],
    }
    for split, listed in stems.items():
        for seed, stem in enumerate(listed):
            write_image(root / split / f"{stem}.png", SIZE, seed)
            write_mask(root / f"{split}annot" / f"{stem}.png", np.full(SIZE, seed % 12))
    return root


def test_camvid_without_declared_splits(segnet: Path) -> None:
    data = load(f"camvid:{segnet}")
    assert data.classes == tuple(CAMVID) and len(data.classes) == 11
    assert [len(part) for part in (data.labelled, data.validation, data.test)] == [11, 7, 2]
    assert not any("07959" in name for part in (data.labelled, data.validation) for name in part.names)
    assert data.validation.masks is not None
    assert data.validation.masks[:, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]  # frames 13 to 19 of 12 values


def test_camvid_void_is_11(segnet: Path) -> None:
    source = open_source(f"camvid:{segnet}")
    void = next(item for item in source.pool if item.name == "0016E5_00300")
    assert (void.mask() == 10).all()
    everything = {item.name: item for item in (*source.pool, *source.validation)}
    assert "0016E5_00330" not in everything  # frame 11 is in the gap


def test_camvid_with_declared_splits(segnet: Path) -> None:
    stems = sorted(path.stem for path in (segnet / "train").iterdir())
    (segnet / "splits").mkdir()
    for name, listed in {
        "pool": stems[:8],
        "search_val": stems[10:],
        "test": ["Seq05VD_f00030"],
        "labelled_1_4": stems[1:4:2],
    }.items():
        (segnet / "splits" / f"{name}.txt").write_text("\n".join(listed) + "\n")
    data = load(f"camvid:{segnet}", "1/4")
    assert data.labelled.names == (stems[1], stems[3])
    assert [len(part) for part in (data.unlabelled, data.validation, data.test)] == [6, 10, 1]


def test_camvid_original_layout(tmp_path: Path, write_image, write_mask) -> None:
    root = tmp_path / "original"
    frames = [f"0006R0_f{n:05d}" for n in range(900, 1200, 30)]
    for stem in (*frames, "0001TP_008550", "0001TP_008520", "Seq05VD_f00000", "0016E5_07961"):
        write_image(root / "701_StillsRaw_full" / f"{stem}.png", SIZE)
        mask = np.zeros((*SIZE, 3), int)
        mask[0], mask[1] = (64, 128, 192), (128, 0, 192)  # an SUV, lane markings, the rest void
        write_mask(root / "LabeledApproved_full" / f"{stem}_L.png", mask)
    source = open_source(f"camvid:{root}")
    assert names(source.test) == ["0001TP_008550", "Seq05VD_f00000"]
    learnt = names((*source.pool, *source.validation))
    assert "0001TP_008520" in learnt and "0016E5_07961" not in learnt
    mask = source.pool[0].mask()
    assert (mask[0, 0], mask[1, 0], mask[2, 0]) == (
        source.classes.index("car"),
        source.classes.index("road"),
        255,
    )


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_cityscapes(tmp_path: Path, write_image, write_mask, kind: str) -> None:
    root = tmp_path / "cityscapes"
    for split, city, count in (("train", "aachen", 12), ("train", "ulm", 9), ("val", "lindau", 2)):
        for n in range(count):
            stem = f"{city}_{n:06d}_000019"
            write_image(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", SIZE, n)
            mask = np.full(SIZE, 26 if kind == "labelIds" else 13)  # cars
            mask[0] = 3 if kind == "labelIds" else 255  # out of the region of interest
            write_mask(root / "gtFine" / split / city / f"{stem}_gtFine_{kind}.png", mask)
            write_mask(root / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png", mask)
    data = load(f"cityscapes:{root}")
    assert data.classes == tuple(CITYSCAPES) and data.classes[13] == "car"
    assert data.test.names == ("lindau_000000_000019", "lindau_000001_000019")
    assert data.validation.names[:4] == tuple(f"aachen_{n:06d}_000019" for n in range(8, 12))
    assert data.labelled.names[:6] == tuple(f"aachen_{n:06d}_000019" for n in range(6))
    assert data.labelled.masks is not None
    assert (data.labelled.masks[:, 0] == 255).all() and (data.labelled.masks[:, 1:] == 13).all()


def test_voc(tmp_path: Path, write_image, write_palette_png) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    palette = np.zeros((256, 3), int)
    palette[:21], palette[255] = list(VOC.values()), (224, 224, 192)
    stems = [f"2007_{n:06d}" for n in range(14)]
    for stem in stems:
        write_image(root / "JPEGImages" / f"{stem}.jpg", SIZE)
        mask = np.full(SIZE, 15)
        mask[0], mask[1] = 255, 20
        write_palette_png(root / "SegmentationClass" / f"{stem}.png", mask, palette)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(stems[:12]))
    (lists / "val.txt").write_text("\n".join(stems[12:]))
    data = load(f"voc:{tmp_path}")
    assert data.classes[15] == "person" and len(data.classes) == 21
    assert data.test.names == tuple(stems[12:])
    assert (len(data.labelled), len(data.validation)) == (8, 4)
    assert data.test.masks is not None
    assert data.test.masks[0, :3, 0].tolist() == [255, 20, 15]
    (lists / "train.txt").write_text("2007_999999\n")
    with pytest.raises(UserError, match="2007_999999"):
        load(f"voc:{tmp_path}")


def test_ade20k(tmp_path: Path, write_image, write_mask) -> None:
    for split, count in (("training", 9), ("validation", 2)):
        for n in range(count):
            stem = f"ADE_{split[:5]}_{n:08d}"
            write_image(tmp_path / "images" / split / f"{stem}.jpg", SIZE)
            mask = np.full(SIZE, 150)
            mask[0], mask[1] = 0, 1
            write_mask(tmp_path / "annotations" / split / f"{stem}.png", mask)
    data = load(f"ade20k:{tmp_path}")
    assert (len(data.classes), len(set(data.classes)), data.classes[0], data.classes[149]) == (
        150,
        150,
        "wall",
        "flag",
    )
    assert tuple(ADE20K)[12] == "person"
    assert (len(data.labelled), len(data.validation), len(data.test)) == (6, 3, 2)
    assert data.test.masks is not None
    assert data.test.masks[0, :3, 0].tolist() == [255, 0, 149]


def test_gta5_palette_and_index_masks(tmp_path: Path, write_image, write_mask, write_palette_png) -> None:
    palette = np.zeros((35, 3), int)
    palette[7], palette[26], palette[5] = CITYSCAPES["road"], CITYSCAPES["car"], (111, 74, 0)
    palette[18], palette[34] = CITYSCAPES["pole"], CITYSCAPES["car"]
    mask = np.full(SIZE, 7)
    mask[0], mask[1], mask[3], mask[4] = 26, 5, 18, 34
    for n in range(1, 41):
        write_image(tmp_path / "images" / f"{n:05d}.png", SIZE)
        write_palette_png(tmp_path / "labels" / f"{n:05d}.png", mask, palette)
    write_mask(tmp_path / "labels" / "00002.png", mask)
    write_mask(tmp_path / "labels" / "00003.png", palette[mask])
    data = load(f"gta5:{tmp_path}")
    assert data.classes == tuple(CITYSCAPES)
    assert data.labelled.masks is not None
    for one in (0, 1):
        assert data.labelled.masks[one, :5, 0].tolist() == [13, 255, 0, 255, 255]
    assert data.labelled.masks[2, :5, 0].tolist() == [13, 255, 0, 5, 13]
    numbers = [[int(name) for name in part.names] for part in (data.labelled, data.validation, data.test)]
    assert max(numbers[0]) + 2 < min(numbers[1]) and max(numbers[1]) + 2 < min(numbers[2])


def test_gta5_leaves_out_frames_with_a_mask_of_another_size(tmp_path: Path, write_image, write_mask, caplog) -> None:
    for n in range(1, 41):
        write_image(tmp_path / "images" / f"{n:05d}.png", SIZE)
        write_mask(tmp_path / "labels" / f"{n:05d}.png", np.full(SIZE if n != 5 else SIZE[::-1], 7))
    source = open_source(f"gta5:{tmp_path}")
    names = {item.name for item in (*source.pool, *source.validation, *source.test, *source.spare)}
    assert "00005" not in names and {"00004", "00006"} <= names
    assert "gta5: left out: 1 frame whose mask has another size" in caplog.text


@pytest.mark.parametrize("kind", ["camvid", "cityscapes", "voc", "ade20k", "gta5", "folder"])
def test_wrong_layout_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError, match=kind):
        open_source(f"{kind}:{tmp_path}")


def test_images_without_mask_are_refused(segnet: Path) -> None:
    (segnet / "trainannot" / "0016E5_00030.png").unlink()
    (segnet / "trainannot" / "0016E5_00060.png").unlink()
    with pytest.raises(UserError, match=r"2 of 20 images have no mask, the first is .*0016E5_00030"):
        open_source(f"camvid:{segnet}")
