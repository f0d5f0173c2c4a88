"""nas-predict as typed: a picture and a mask a photo, at the photo's own size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from nas.cli.predict import main
from nas.export import Predictor, load_checkpoint


@pytest.fixture
def photos(tmp_path: Path, data_folder: Path) -> Path:
    """Photos of several shapes and kinds."""
    folder = tmp_path / "photos"
    folder.mkdir()
    image = cv2.imread(str(data_folder / "images" / "test" / "0.png"))
    cv2.imwrite(str(folder / "same.png"), image)
    cv2.imwrite(str(folder / "wide.JPG"), cv2.resize(image, (333, 61)))
    cv2.imwrite(str(folder / "tall.jpeg"), cv2.resize(image, (37, 91)))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    return {p.name: cv2.imread(str(p), cv2.IMREAD_UNCHANGED).shape for p in sorted(folder.iterdir())}


def test_a_folder_gives_overlays_masks_and_a_legend(trained, photos, typed, tmp_path) -> None:
    out = tmp_path / "new" / "out"
    ended = typed(main, trained.parent, photos, "--out", out, "--device", "cpu")
    assert ended.code == 0
    assert ended.out == f"{out}: 3 photos segmented\n"
    found = sizes(out)
    legend = found.pop("legend.png")
    assert legend[2] == 3
    assert found == {
        "same_mask.png": (40, 56),
        "same_overlay.png": (40, 56, 3),
        "tall_mask.png": (91, 37),
        "tall_overlay.jpg": (91, 37, 3),
        "wide_mask.png": (61, 333),
        "wide_overlay.jpg": (61, 333, 3),
    }


def test_what_is_written_beside_or_above_the_photos_hides_none_of_them(trained, photos, typed, tmp_path) -> None:
    for out in (photos.parent, tmp_path):
        ended = typed(main, trained.parent, photos, "--out", out, "--device", "cpu")
        assert ended.code == 0 and "3 photos segmented" in ended.out


def test_masks_hold_class_indices_and_overlays_their_colours(trained, photos, typed, tmp_path) -> None:
    out = tmp_path / "out"
    typed(main, trained, photos / "same.png", "--out", out, "--opacity", 1, "--device", "cpu")
    loaded = load_checkpoint(trained)
    image = cv2.imread(str(photos / "same.png"))[..., ::-1]
    mask = cv2.imread(str(out / "same_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, Predictor.of(loaded).predict(image))
    painted = cv2.imread(str(out / "same_overlay.png"))[..., ::-1]
    np.testing.assert_array_equal(painted, np.array(loaded.palette, np.uint8)[mask])


def test_masks_are_right_where_the_network_has_learnt(trained, data_folder, typed, tmp_path) -> None:
    out = tmp_path / "out"
    typed(main, trained, data_folder / "images" / "test", "--out", out, "--write", "masks")
    right = known = 0
    for file in (data_folder / "masks" / "test").iterdir():
        truth = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        guess = cv2.imread(str(out / f"{file.stem}_mask.png"), cv2.IMREAD_UNCHANGED)
        right += (guess == truth)[truth != 255].sum()
        known += (truth != 255).sum()
    assert right / known > 0.7


@pytest.mark.parametrize(("kind", "ending"), [("masks", "_mask.png"), ("overlays", "_overlay.png")])
def test_one_kind_alone(trained, photos, typed, tmp_path, kind, ending) -> None:
    out = tmp_path / "out"
    typed(main, trained, photos / "same.png", "--out", out, "--write", kind)
    assert set(sizes(out)) == {f"same{ending}", "legend.png"}


def test_photos_of_one_name_do_not_overwrite_each_other(trained, photos, typed, tmp_path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    (again / "same.png").write_bytes((photos / "same.png").read_bytes())
    out = tmp_path / "out"
    args = [photos / "same.png", again, photos / "same.png"]
    assert typed(main, trained, *args, "--out", out, "--write", "masks").code == 0
    assert set(sizes(out)) == {"same_mask.png", "same_2_mask.png", "legend.png"}


def test_folders_inside_are_found_again_in_the_output(trained, photos, typed, tmp_path) -> None:
    for inside in ("ulm", "bonn", ".thumbs"):
        (photos / inside).mkdir()
        (photos / inside / "same.png").write_bytes((photos / "same.png").read_bytes())
    out = photos / "out"
    for _ in range(2):  # the second time the folder holds what the first has written
        ended = typed(main, trained, photos, "--out", out, "--write", "masks")
        assert ended.out == f"{out}: 5 photos segmented\n"
    found = {str(p.relative_to(out)) for p in out.rglob("*.png")}
    masks = {f"{name}_mask.png" for name in ("same", "tall", "wide", "bonn/same", "ulm/same")}
    assert found == {*masks, "legend.png"}


def test_what_cannot_be_read_is_named_and_skipped(trained, photos, typed, tmp_path) -> None:
    (photos / "broken.jpg").write_bytes((photos / "tall.jpeg").read_bytes()[:300])
    (photos / "empty.png").touch()
    ended = typed(main, trained, photos, "--out", tmp_path / "out")
    assert ended.code == 0
    assert "3 photos segmented, 2 skipped" in ended.out
    skipped = [line for line in ended.err.splitlines() if "skipped" in line]
    assert len(skipped) == 2
    assert "broken.jpg" in skipped[0]
    assert "empty.png" in skipped[1]


def test_nothing_readable_is_a_failure(trained, typed, tmp_path) -> None:
    (tmp_path / "a.png").write_text("no image")
    ended = typed(main, trained, tmp_path / "a.png", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "0 photos segmented, 1 skipped" in ended.out


def test_mistakes_are_one_line(trained, photos, typed, tmp_path) -> None:
    (tmp_path / "bare").mkdir()
    for args, says in (
        ([tmp_path / "none.jpg"], "none.jpg: there is no such file or folder"),
        ([tmp_path / "bare"], "holds no images"),
        ([photos, "--out", photos], "also read from"),
        ([photos, "--out", trained], "is a file"),
        ([photos, "--device", "tpu"], "use cpu or cuda"),
        ([photos, "--opacity", "2"], "--opacity"),
        ([], "Missing argument"),
    ):
        ended = typed(main, trained, *args)
        assert ended.code == 2
        assert says in ended.err
        assert ended.err.startswith("nas-predict: error: ") and ended.err.count("\n") == 1
