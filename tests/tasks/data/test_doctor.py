"""nas-doctor on a healthy data set and on data sets with one planted fault each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nas.errors import UserError
from nas.tasks.data import load_data
from nas.tasks.data.doctor import Examined, Finding, examine, examine_two, findings, quick_check, suggest_size
from nas.tasks.data.doctor.page import contact_sheet
from nas.tasks.data.doctor.sizes import usual_shape

SPLITS = {"train": 8, "val": 4, "test": 4}
SIZE = (96, 128)


def photo(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture with soft shapes in all colours, different for every seed."""
    grain = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(grain).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def blocks(seed: int, values: tuple[int, ...] = (0, 1, 2), size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask of the first value with a block of each other value."""
    rng = np.random.default_rng(1000 + seed)
    mask = np.full(size, values[0], np.uint8)
    for place, value in enumerate(values[1:]):
        top, left = rng.integers(4, size[0] // 2), place * size[1] // 2 + rng.integers(2, size[1] // 8)
        mask[top : top + size[0] // 3, left : left + size[1] // 4] = value
    return mask


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8)).save(path)


def stem(split: str, number: int) -> str:
    return f"{split}/{'abcdefgh'[number]}"


@pytest.fixture
def healthy(tmp_path: Path) -> Path:
    """16 photos in three splits, with masks of three classes in every split."""
    root, seed = tmp_path / "set", 0
    for split, count in SPLITS.items():
        for number in range(count):
            image = root / "images" / f"{stem(split, number)}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            photo(seed).save(image)
            write_mask(root / "masks" / f"{stem(split, number)}.png", blocks(seed))
            seed += 1
    name(root, ["ground", "house", "tree"])
    return root


def name(root: Path, table: list) -> None:
    (root / "classes.json").write_text(json.dumps(table))


def every_mask(root: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in sorted((root / "masks").rglob("*.png")):
        write_mask(path, change(np.asarray(Image.open(path))))


def look(root: Path, **more) -> tuple[Examined, list[Finding]]:
    seen = examine(f"folder:{root}", **more)
    return seen, findings(seen)


def wrong(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity != "note"]


def test_healthy_data_set_has_no_findings(healthy: Path) -> None:
    seen, found = look(healthy)
    assert found == []
    assert {split: len(names) for split, names in seen.splits.items()} == {
        "labelled": 8,
        "unlabelled": 0,
        "validation": 4,
        "test": 4,
    }
    expected = np.bincount(np.concatenate([blocks(seed).ravel() for seed in range(8)]), minlength=3)
    assert seen.shares is not None
    assert seen.shares.pixels["labelled"][:3].tolist() == expected.tolist()
    assert seen.shares.pixels["labelled"].sum() == expected.sum()


# Each of these plants one fault in the healthy data set.


def broken_image(root: Path) -> None:
    (root / "images/train/c.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))


def truncated_jpeg(root: Path) -> None:
    (root / "images/train/c.png").unlink()
    path = root / "images/train/c.jpg"
    photo(2).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-400])


def empty_file(root: Path) -> None:
    (root / "images/train/c.png").write_bytes(b"")


def broken_mask(root: Path) -> None:
    (root / "masks/train/c.png").write_bytes(b"no image")


def unsupported_format(root: Path) -> None:
    photo(40).save(root / "images/train/x.gif")


def heic(root: Path) -> None:
    (root / "images/train/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))


def lone_mask(root: Path) -> None:
    write_mask(root / "masks/train/zz.png", blocks(50))


def mask_of_another_size(root: Path) -> None:
    write_mask(root / "masks/train/c.png", blocks(2, size=(48, 64)))


def soft_mask(root: Path) -> None:
    name(root, ["ground", "house"])
    every_mask(root, lambda mask: np.where(mask > 0, 255, 0))
    path = root / "masks/train/c.png"
    Image.open(path).filter(ImageFilter.GaussianBlur(1)).save(path)


def jpeg_mask(root: Path) -> None:
    path = root / "masks/train/c.png"
    mask = Image.open(path)
    path.unlink()
    mask.save(path.with_suffix(".jpg"), quality=90)


def three_levels(root: Path) -> None:
    (root / "classes.json").unlink()
    every_mask(root, lambda mask: np.array([0, 128, 255])[mask])


def colours_without_a_table(root: Path) -> None:
    (root / "classes.json").unlink()
    every_mask(root, lambda mask: np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]])[mask])


def value_of_no_class(root: Path) -> None:
    write_mask(root / "masks/train/c.png", np.where(blocks(2) == 2, 7, blocks(2)))


def class_never_shown(root: Path) -> None:
    name(root, ["ground", "house", "tree", "unicorn"])


def class_only_in_test(root: Path) -> None:
    name(root, ["ground", "house", "tree", "boat"])
    write_mask(root / "masks/test/b.png", np.where(blocks(13) == 2, 3, blocks(13)))


def rotated_by_exif(root: Path) -> None:
    (root / "images/train/c.png").unlink()
    image = photo(2)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(root / "images/train/c.jpg", exif=exif, quality=95)


def mostly_void(root: Path) -> None:
    name(root, [*({"name": each} for each in ("ground", "house", "tree")), {"name": "void", "value": 255}])
    every_mask(root, lambda mask: np.where(np.arange(SIZE[0])[:, None] % 10 < 4, 255, mask))


def one_class_nearly_everywhere(root: Path) -> None:
    def shrunk(mask: np.ndarray) -> np.ndarray:
        mask = np.zeros_like(mask)
        mask[:3, :3], mask[-3:, -3:] = 1, 2
        return mask

    every_mask(root, shrunk)


def another_shape(root: Path) -> None:
    photo(2, (128, 64)).save(root / "images/train/c.png")
    write_mask(root / "masks/train/c.png", blocks(2, size=(128, 64)))


def black_image(root: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 4, (*SIZE, 3), np.uint8)).save(root / "images/train/c.png")


def same_stem(root: Path) -> None:
    photo(2).save(root / "images/train/c.jpg")


def same_mask_twice(root: Path) -> None:
    shutil.copy(root / "masks/train/b.png", root / "masks/train/c.png")


def copy_in_another_split(root: Path) -> None:
    shutil.copy(root / "images/train/c.png", root / "images/test/c.png")


def smaller_copy_in_another_split(root: Path) -> None:
    (root / "images/test/c.png").unlink()
    Image.open(root / "images/train/c.png").resize((120, 90)).save(root / "images/test/c.jpg", quality=80)
    write_mask(root / "masks/test/c.png", blocks(14, size=(90, 120)))


def brighter_copy_in_another_split(root: Path) -> None:
    (root / "images/test/c.png").unlink()
    image = Image.open(root / "images/train/c.png").point(lambda grey: 0.8 * grey + 30)
    image.resize((112, 84)).save(root / "images/test/c.jpg", quality=90)
    write_mask(root / "masks/test/c.png", blocks(14, size=(84, 112)))


def copy_in_one_split(root: Path) -> None:
    shutil.copy(root / "images/train/c.png", root / "images/train/b.png")


def neighbouring_frames(root: Path) -> None:
    moved = np.roll(np.asarray(Image.open(root / "images/train/c.png")), 2, axis=1)
    Image.fromarray(moved).save(root / "images/test/c.png")


def one_deep_image(root: Path) -> None:
    grey = np.asarray(photo(2).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(root / "images/train/c.png")


def sizes_apart(root: Path) -> None:
    for number in range(4):
        seed = 8 + number
        photo(seed, (384, 512)).save(root / f"images/{stem('val', number)}.png")
        write_mask(root / f"masks/{stem('val', number)}.png", blocks(seed, size=(384, 512)))


def image_without_mask(root: Path) -> None:
    (root / "masks/train/c.png").unlink()


def nothing_but_specks(root: Path) -> None:
    """Houses of 3 x 3 pixels in images that are resized to a third."""
    for path in sorted((root / "masks").rglob("*.png")):
        mask = np.zeros((768, 1024), np.uint8)
        for left in range(50, 1000, 50):
            mask[100:103, left : left + 3] = 1
        mask[400:700, 100:500] = 2
        write_mask(path, mask)
        image = root / "images" / path.relative_to(root / "masks")
        Image.open(image).resize((1024, 768)).save(image)


@pytest.mark.parametrize(
    ("plant", "severity", "said", "where"),
    [
        (broken_image, "error", "1 file cannot be read", "images/train/c.png"),
        (truncated_jpeg, "error", "1 file cannot be read", "images/train/c.jpg"),
        (empty_file, "error", "1 file cannot be read", "images/train/c.png"),
        (broken_mask, "error", "1 file cannot be read", "masks/train/c.png"),
        (unsupported_format, "warning", "unsupported formats: 1 image left out (1 GIF)", "images/train/x.gif"),
        (heic, "warning", "unsupported formats: 1 image left out (1 HEIC)", "images/train/IMG_1.HEIC"),
        (lone_mask, "warning", "1 mask without an image", "masks/train/zz.png"),
        (mask_of_another_size, "error", "1 mask of another size", "masks/train/c.png (48x64, image 96x128)"),
        (soft_mask, "warning", "1 mask with soft edges", "masks/train/c.png"),
        (jpeg_mask, "error", "1 mask compressed with loss", "masks/train/c.jpg"),
        (three_levels, "warning", "255 is read as void", ""),
        (colours_without_a_table, "error", "colour masks without declared classes", "masks/train/c.png"),
        (value_of_no_class, "error", "values of no class: 7", "masks/train/c.png"),
        (class_never_shown, "warning", "no image shows the class unicorn", ""),
        (class_only_in_test, "warning", "class boat is in the test images but no labelled image shows it", ""),
        (rotated_by_exif, "note", "rotated with the photo by EXIF", "masks/train/c.png"),
        (mostly_void, "warning", "of all pixels are void", ""),
        (copy_in_another_split, "warning", "1 picture under two names", "images/test/c.png"),
        (smaller_copy_in_another_split, "warning", "1 picture under two names", "images/test/c.jpg"),
        (brighter_copy_in_another_split, "warning", "1 picture under two names", "images/test/c.jpg"),
        (copy_in_one_split, "warning", "1 picture under two names", "images/train/b.png"),
        (neighbouring_frames, "warning", "1 pair of nearly the same view", "images/test/c.png (test)"),
        (one_deep_image, "warning", "1 image of more than 8 bits a channel and 15 of 8", "images/train/c.png"),
        (sizes_apart, "note", "Images of very different sizes", ""),
        (image_without_mask, "note", "1 image without a mask", "images/train/c.png"),
        (nothing_but_specks, "note", "objects of some classes are too small", "house"),
        (one_class_nearly_everywhere, "warning", "of the labelled pixels are ground", ""),
        (another_shape, "warning", "1 image of another shape", "images/train/c.png (128x64)"),
        (black_image, "warning", "1 image nearly black", "images/train/c.png"),
        (same_stem, "error", "1 name with several files", "images/train/c.jpg"),
        (same_mask_twice, "warning", "equal for several images", "masks/train/c.png"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_planted_fault_is_found(healthy: Path, plant, severity: str, said: str, where: str) -> None:
    plant(healthy)
    _, found = look(healthy)
    matching = [finding for finding in found if said in finding.what]
    assert [finding.severity for finding in matching] == [severity], found
    assert not where or any(where in each for each in matching[0].where)
    assert matching[0].fix or ": " in matching[0].what or severity == "note"


def test_all_faults_of_a_refused_data_set_are_found_at_once(healthy: Path) -> None:
    for plant in (empty_file, value_of_no_class, lone_mask, same_stem, heic):
        plant(healthy)
    seen, found = look(healthy)
    assert seen.members.refusal
    matching = " ".join(finding.what for finding in found)
    for said in ("cannot be read", "no class: 7", "without an image", "several files", "HEIC"):
        assert said in matching


def test_quick_check_finds_what_the_doctor_finds(healthy: Path) -> None:
    assert quick_check(load_data(f"folder:{healthy}", progress=False)) == []
    for plant in (mostly_void, black_image):
        plant(healthy)
    quick = quick_check(load_data(f"folder:{healthy}", progress=False))
    whats = {finding.what for finding in look(healthy)[1]}
    assert len(wrong(quick)) == 2 and {finding.what for finding in quick} <= whats


@pytest.mark.parametrize(
    ("size", "device", "expected"),
    [
        ((360, 480), "cpu", (144, 192)),
        ((1024, 2048), "cuda", (368, 736)),
        ((12, 16), "cpu", (12, 16)),
        ((40, 56), "cpu", (40, 56)),
    ],
)
def test_suggested_sizes_of_common_photos(size, device, expected) -> None:
    assert suggest_size([size] * 5 + [(50, 400)], device) == expected


def test_suggested_size_keeps_ratio_and_area_and_is_at_most_native() -> None:
    rng = np.random.default_rng(0)
    for height, width in rng.integers(64, 4000, (40, 2)):
        h, w = suggest_size([(int(height), int(width))], "cpu")
        assert h <= height and w <= width and h % 16 == w % 16 == 0
        assert h * w <= 1.15 * 25_000 or h * w <= height * width / 1
        if 0.5 < width / height < 2:
            assert abs(np.log(w / h * height / width)) < 0.15


def test_usual_shape_is_that_of_most_images() -> None:
    ratio, share = usual_shape([(100, 200)] * 6 + [(100, 100)] * 4)
    assert ratio == pytest.approx(2) and share == 0.6


def test_contact_sheet_rotates_the_mask_of_a_photo_with_exif(healthy: Path) -> None:
    rotated_by_exif(healthy)
    seen, _ = look(healthy)
    drawn = {}

    def draw(image: np.ndarray, classes: np.ndarray, palette) -> np.ndarray:
        drawn[image.shape] = classes
        return image

    contact_sheet(seen, draw)
    assert (drawn[128, 96, 3] == np.rot90(blocks(2), -1)).all()


def test_two_data_sets_get_the_splits_of_domain_adaptation(healthy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(healthy, other)
    class_only_in_test(other)
    name(healthy, ["ground", "house", "tree", "boat"])
    first, second = examine_two(f"folder:{healthy}", f"folder:{other}")
    assert {split: len(names) for split, names in first.splits.items()} == {"labelled": 8}
    assert {split: len(names) for split, names in second.splits.items()} == {
        "unlabelled": 8,
        "validation": 4,
        "test": 4,
    }
    assert any("boat is in the test images but no labelled image" in finding.what for finding in findings(second))
    name(other, ["ground", "house", "wood", "boat"])
    with pytest.raises(UserError, match="must have the same classes"):
        examine_two(f"folder:{healthy}", f"folder:{other}")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_fine_texture_is_not_one_tone(healthy: Path, suffix: str) -> None:
    (healthy / "images/train/c.png").unlink()
    grain = np.random.default_rng(0).integers(60, 200, (*SIZE, 3), np.uint8)
    texture = Image.fromarray(np.tile(grain, (8, 8, 1)))
    texture.save(healthy / f"images/train/c.{suffix}")
    write_mask(healthy / "masks/train/c.png", np.kron(blocks(2), np.ones((8, 8))))
    assert not any("one tone" in finding.what for finding in look(healthy)[1])
