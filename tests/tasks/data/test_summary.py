"""Summaries of data sets: counts, shares, left-out images and warnings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import VOID, load_data
from nas.tasks.data.summary import Summary


def summary_of(root: Path, **more) -> Summary:
    summary = load_data(f"folder:{root}", progress=False, **more).summary
    assert summary is not None
    return summary


def write_masks(root: Path, masks: dict[str, np.ndarray]) -> None:
    for name, mask in masks.items():
        assert cv2.imwrite(str(root / "masks" / f"{name}.png"), mask.astype(np.uint8))


def names_of(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "images").iterdir())


def test_counts_shares_and_sizes(make_folder) -> None:
    root = make_folder(24)
    data = load_data(f"folder:{root}", folds=0, size=(9, 12), progress=False)
    summary = data.summary
    assert summary is not None
    assert summary.images == {"labelled": 12, "unlabelled": 0, "validation": 6, "test": 6}
    assert (summary.size, summary.native, summary.folds) == ((9, 12), ((12, 16, 24),), 0)
    for split in ("labelled", "validation", "test"):
        masks = getattr(data, split).masks
        assert summary.void[split] == pytest.approx((masks == VOID).mean())
        for index, facts in enumerate(summary.classes):
            assert facts.name == data.classes[index] and facts.values == (facts.name,)
            assert facts.share[split] == pytest.approx((masks == index).sum() / (masks != VOID).sum())
    text = "\n".join(summary.lines())
    assert "24 labelled (12 for training, 6 for ranking, 6 for testing), 0 unlabelled" in text
    assert "Size: 9x12 (height x width), on disk 12x16 (24), resized" in text
    # JSON round trip.
    assert json.loads(json.dumps(asdict(summary)))["images"] == summary.images
    assert json.loads(json.dumps(summary.short()))["classes"] == {"0": ["0"], "1": ["1"], "2": ["2"]}


def test_folds_have_no_validation_split(make_folder) -> None:
    summary = summary_of(make_folder(24))
    assert summary.folds == 3 and set(summary.void) == {"labelled", "test"}
    assert "24 labelled (18 for training, 6 for testing; candidates are ranked on 3 folds" in summary.lines()[0]


def test_unlabelled_class_of_test_images_is_warned_of(make_folder, caplog) -> None:
    root = make_folder(12)
    names = names_of(root)
    rng = np.random.default_rng(0)
    masks = {name: rng.integers(0, 2, (12, 16)) for name in names}
    for name in names[9:]:
        masks[name][2:4] = 2
    write_masks(root, masks)
    (root / "classes.json").write_text('["ground", "block", "disc", "kerb"]')
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n".join(names[:9]))
    (root / "splits" / "test.txt").write_text("\n".join(names[9:]))
    summary = summary_of(root)
    assert any("class disc is in the test images but no labelled image shows it" in each for each in summary.warnings)
    assert any("no image shows the class kerb" in each for each in summary.warnings)
    assert "class disc is in the test images but no labelled image shows it" in caplog.text


def test_class_of_one_image_and_untested_class_are_warned_of(make_folder) -> None:
    root = make_folder(12)
    names = names_of(root)
    rng = np.random.default_rng(0)
    masks = {name: rng.integers(0, 2, (12, 16)) for name in names}
    masks[names[4]][2:4] = 2
    write_masks(root, masks)
    warnings = summary_of(root).warnings
    assert any("class 2 is in one labelled image or group only" in each for each in warnings)
    assert any("no test image shows the class 2, which is labelled" in each for each in warnings)


def test_large_void_share_and_dominant_class_are_warned_of(make_folder) -> None:
    root = make_folder(12)
    rng = np.random.default_rng(0)
    write_masks(
        root,
        {
            name: np.where(rng.random((12, 16)) < 0.8, 255, rng.integers(0, 2, (12, 16)) * 128)
            for name in names_of(root)
        },
    )
    summary = summary_of(root)
    assert min(summary.void.values()) > 0.6
    assert sum("255" in each and "classes.json" in each for each in summary.warnings) == 1
    lone = {name: np.zeros((40, 60)) for name in names_of(root)}
    for mask in lone.values():
        mask[0, :3] = 1
    for name in lone:
        cv2.imwrite(str(root / "images" / f"{name}.png"), rng.integers(0, 256, (40, 60, 3), np.uint8))
    write_masks(root, lone)
    assert any("99.9 % of the labelled pixels are 0" in each for each in summary_of(root).warnings)


def test_warnings_of_loading_are_kept(make_folder, write_image) -> None:
    root = make_folder(12)
    write_image(root / "unlabelled" / "u.jpg", (30, 40))
    (root / "unlabelled" / "u.jpg").write_bytes((root / "unlabelled" / "u.jpg").read_bytes()[:300])
    summary = summary_of(root)
    assert any("unlabelled images skipped: 1" in each for each in summary.warnings)


def test_images_without_masks_are_unlabelled(make_folder, write_image, tmp_path: Path) -> None:
    root = make_folder(12)
    masked = names_of(root)
    for n in range(5):
        write_image(root / "images" / f"bare{chr(97 + n)}.png", seed=50 + n)
    data = load_data(f"folder:{root}", progress=False)
    assert data.unlabelled.names == tuple(f"bare{chr(97 + n)}" for n in range(5))
    assert {*data.labelled.names, *data.test.names} == set(masked)
    assert data.summary is not None and data.summary.images["unlabelled"] == 5
    # A list of all images with a mask has the same result.
    file = tmp_path / "list.txt"
    for listed in (data.labelled.names, masked):
        file.write_text("\n".join(listed))
        for folds in (None, 0):
            plain = load_data(f"folder:{root}", folds=folds, progress=False)
            again = load_data(f"folder:{root}", str(file), folds=folds, progress=False)
            for split in ("labelled", "unlabelled", "validation", "test"):
                assert getattr(again, split).names == getattr(plain, split).names
    file.write_text("barea\n")
    with pytest.raises(UserError, match="barea has no mask, so it cannot be labelled"):
        load_data(f"folder:{root}", str(file), progress=False)


def test_images_without_masks_in_split_lists(make_folder, write_image) -> None:
    root = make_folder(12)
    names = names_of(root)
    for n in range(4):
        write_image(root / "images" / f"bare{chr(97 + n)}.png", seed=50 + n)
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n".join([*names[:8], "barea"]))
    (root / "splits" / "test.txt").write_text("\n".join([*names[8:], "bareb"]))
    data = load_data(f"folder:{root}", progress=False)
    assert data.unlabelled.names == ("barea", "barec", "bared") and data.test.names == tuple(names[8:])
    assert data.summary is not None
    assert [(out.reason, out.count, out.first) for out in data.summary.left_out] == [
        ("ranking or test images without a mask", 1, "bareb")
    ]


def test_images_without_any_mask_are_refused(make_folder) -> None:
    root = make_folder(3)
    for path in (root / "masks").iterdir():
        path.rename(path.with_name(f"seg-{path.name}"))
    with pytest.raises(UserError, match=r"none of the 3 images has a mask, and the first of 3 masks is seg-aa\.png"):
        load_data(f"folder:{root}", progress=False)
