"""load_data: specs, sizes, the disk cache and domain adaptation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.tasks.data import FewLabelData, ImageSet, load_data


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet:/tmp", "no kind 'imagenet'"),
        ("scenes:noon", "scenes:night"),
        ("folder:/does/not/exist", "there is no /does/not/exist"),
        ("folder", "the path is missing: write folder:PATH"),
    ],
)
def test_spec_errors(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(spec, progress=False)


def test_bare_path_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"folder:{tmp_path}"):
        load_data(str(tmp_path), progress=False)


def test_domain_adaptation_uses_all_labels_by_default() -> None:
    day = load_data("scenes:day", "all", size=(8, 12), progress=False)
    both = load_data("scenes:day", unlabelled="scenes:night", size=(8, 12), progress=False)
    assert both.labelled.names == day.labelled.names
    assert both.shifted and not day.shifted


def test_empty_folder_and_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty"):
        load_data(f"folder:{tmp_path}", progress=False)
    (tmp_path / "f").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        load_data(f"folder:{tmp_path / 'f'}", progress=False)


def test_images_are_resized_by_area_and_masks_by_nearest(make_folder) -> None:
    root = make_folder(size=(16, 24))
    whole = load_data(f"folder:{root}", "all", progress=False)
    half = load_data(f"folder:{root}", "all", size=(8, 12), progress=False)
    assert half.size == (8, 12)
    means = whole.test.images.reshape(-1, 8, 2, 12, 2, 3).astype(float).mean((2, 4))
    assert np.abs(half.test.images - means).max() <= 1
    blocks = whole.test.masks.reshape(-1, 8, 2, 12, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 8, 12, 4)
    assert (blocks == half.test.masks[..., None]).any(-1).all()


def test_size_is_that_of_the_first_image(make_folder, write_image, write_mask) -> None:
    root = make_folder()
    for stem in ("ae", "ak"):
        write_image(root / "images" / f"{stem}.png", (20, 20))
        write_mask(root / "masks" / f"{stem}.png", np.ones((20, 20)))
    assert load_data(f"folder:{root}", progress=False).size == (12, 16)
    with pytest.raises(UserError, match="at least 8"):
        load_data(f"folder:{root}", size=(4, 16), progress=False)


def test_disk_cache_has_the_same_pixels_and_is_removed(make_folder, tmp_path: Path) -> None:
    root, cache = make_folder(), tmp_path / "run"
    in_memory = load_data(f"folder:{root}", "2", folds=0, progress=False)
    on_disk = load_data(f"folder:{root}", "2", cache_gb=1e-6, folder=cache, folds=0, progress=False)
    assert isinstance(on_disk.labelled.images, np.memmap)
    assert len(list(cache.iterdir())) == 7
    for part in ("labelled", "unlabelled", "validation", "test"):
        np.testing.assert_array_equal(getattr(on_disk, part).images, getattr(in_memory, part).images)
    del on_disk
    assert not list(cache.iterdir())


def test_domain_adaptation(make_folder) -> None:
    source, target = make_folder(name="day"), make_folder(count=20, name="night", size=(24, 32))
    data = load_data(f"folder:{source}", "3", unlabelled=f"folder:{target}", progress=False)
    alone = load_data(f"folder:{target}", "all", folds=0, progress=False)
    assert data.name == "folder:day -> folder:night"
    assert (len(data.labelled), data.size) == (3, (12, 16))
    assert data.unlabelled.names == alone.labelled.names and data.unlabelled.masks is None
    assert data.validation.names == alone.validation.names
    assert data.test.names == alone.test.names


def test_classes_must_agree(make_folder) -> None:
    source, target = make_folder(name="day"), make_folder(name="night")
    (target / "classes.json").write_text('["0", "1", "car"]')
    with pytest.raises(UserError, match="not in both: 2, car"):
        load_data(f"folder:{source}", "3", unlabelled=f"folder:{target}", progress=False)


def test_same_data_set_as_unlabelled_changes_nothing(make_folder) -> None:
    spec = f"folder:{make_folder()}"
    data = load_data(spec, "2", unlabelled=spec, folds=0, progress=False)
    assert (len(data.labelled), len(data.unlabelled)) == (2, 4)
    assert not set(data.labelled.names) & set(data.unlabelled.names)


def test_no_progress_unless_asked(make_folder, capsys) -> None:
    load_data(f"folder:{make_folder()}", progress=False)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_shapes_are_checked() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="names"):
        ImageSet(images, None, ("a",))
    with pytest.raises(ValueError, match="masks"):
        ImageSet(images, np.zeros((2, 4, 5), np.uint8), ("a", "b"))
    one, other = ImageSet(images, None, ("a", "b")), ImageSet(images, None, ("c", "d"))
    data = FewLabelData("n", ("a",), ((0, 0, 0),), one, other, one, one)
    assert data.nbytes == 2 * images.nbytes  # shared parts are counted once
    with pytest.raises(ValueError, match="3 groups do not fit 2 labelled images"):
        FewLabelData("n", ("a",), ((0, 0, 0),), one, other, one, one, groups=("a", "b", "c"))


def test_importing_does_not_load_opencv() -> None:
    code = "import sys, nas.tasks.data; sys.exit('cv2' in sys.modules)"
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
