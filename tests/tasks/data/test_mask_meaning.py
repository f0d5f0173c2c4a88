"""The meaning of masks is decided for the data set as a whole, and reported."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from nas.errors import UserError
from nas.tasks.data import open_source
from nas.tasks.data.mask_meaning import MaskMeaning
from nas.tasks.data.palettes import Colour

STEMS = [f"a{chr(97 + n)}" for n in range(9)]
SIZE = (40, 48)


def truth(number: int) -> np.ndarray:
    """Three regions: ground, a block, a disc."""
    rng = np.random.default_rng(number)
    mask = np.zeros(SIZE, np.uint8)
    top, left = int(rng.integers(2, 12)), int(rng.integers(2, 16))
    mask[top : top + 14, left : left + 16] = 1
    cv2.circle(mask, (int(rng.integers(30, 40)), int(rng.integers(24, 32))), 7, 2, -1)
    return mask


def save(path: Path, picture: np.ndarray | Image.Image, **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(path, **more)


@pytest.fixture
def make(tmp_path: Path):
    """Make a data set whose masks are made by a function of number and truth; it may also return suffix and options."""

    def write(mask, table=None, name: str = "classes.json") -> Path:
        root = tmp_path / "set"
        for number, stem in enumerate(STEMS):
            save(root / "images" / f"{stem}.png", np.full((*SIZE, 3), number, np.uint8))
            made = mask(number, truth(number))
            picture, suffix, more = made if isinstance(made, tuple) else (made, ".png", {})
            save(root / "masks" / f"{stem}{suffix}", picture, **more)
        if table is not None:
            (root / name).write_text(table if isinstance(table, str) else json.dumps(table))
        return root

    return write


def read(root: Path) -> tuple[MaskMeaning, np.ndarray]:
    """Return the meaning, and the classes of all masks in the order of their names."""
    source = open_source(f"folder:{root}")
    items = sorted((*source.pool, *source.validation, *source.test, *source.spare), key=lambda item: item.name)
    assert source.masks is not None and source.classes == source.masks.names
    return source.masks, np.stack([item.mask() for item in items])


TRUTH = np.stack([truth(number) for number in range(9)])
TWO = TRUTH > 0


def white(mask: np.ndarray, level: int = 255) -> np.ndarray:
    return (mask > 0).astype(np.uint8) * np.uint8(level)


def resized(mask: np.ndarray) -> np.ndarray:
    """Resize to half and back with interpolation."""
    half = cv2.resize(mask, (SIZE[1] // 2, SIZE[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(half, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def through_jpeg(mask: np.ndarray, quality: int = 85) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_UNCHANGED)


def drawn_smoothly(mask: np.ndarray) -> np.ndarray:
    """Smooth the edges like a drawing tool: the mean of finer pixels."""
    fine = cv2.resize(mask, (SIZE[1] * 8, SIZE[0] * 8), interpolation=cv2.INTER_NEAREST)
    fine = cv2.warpAffine(fine, np.float32([[1, 0.05, 3], [-0.05, 1, 2]]), SIZE[::-1] * np.array(8))
    return cv2.resize(fine, SIZE[::-1], interpolation=cv2.INTER_AREA)


SOFT = {
    "resized": lambda n, m: resized(white(m)),
    "one of nine": lambda n, m: resized(white(m)) if n == 3 else white(m),
    "once JPEG": lambda n, m: through_jpeg(white(m)),
    "once a poor JPEG": lambda n, m: through_jpeg(white(m), 50),
    "once a fine JPEG": lambda n, m: through_jpeg(white(m), 95),
    "JPEG still": lambda n, m: (white(m), ".jpg", {"quality": 90}),
    "smooth": lambda n, m: drawn_smoothly(white(m)),
    "three channels": lambda n, m: np.repeat(resized(white(m))[..., None], 3, axis=2),
    "not quite white": lambda n, m: resized(white(m, 200)),
}


@pytest.mark.parametrize("kind", SOFT)
@pytest.mark.parametrize(
    "table",
    [
        None,
        ["ground", "thing"],
        [{"name": "thing", "colour": [255, 255, 255]}, {"name": "ground", "colour": [0, 0, 0]}],
        [{"name": "ground", "value": 0}, {"name": "thing", "value": 255}],
    ],
)
def test_black_and_white_masks_with_soft_edges_have_two_classes(make, caplog, kind: str, table) -> None:
    root = make(SOFT[kind], table)
    with caplog.at_level(logging.DEBUG, logger="nas.tasks.data"):
        meaning, classes = read(root)
    names = {None: ("background", "foreground")}.get(table) if table is None else tuple(sorted(meaning.names))
    assert len(meaning.names) == 2 and tuple(sorted(meaning.names)) == names
    thing = meaning.names.index("foreground" if table is None else "thing")
    kept = TWO if kind != "smooth" else classes == thing
    assert ((classes == thing) == kept).mean() > 0.97  # soft edges may shift by a pixel
    assert set(np.unique(classes)) == {0, 1}
    if kind == "smooth":
        assert 0.8 < (classes == thing).mean() / TWO.mean() < 1.2
    soft = 1 if kind == "one of nine" else 9
    said = next(note for note in meaning.notes if "soft edges" in note)
    assert said.startswith(f"masks: {soft} of 9 have soft edges") and said in caplog.text
    high = 200 if kind == "not quite white" else 255  # the largest value
    low_name, high_name = (meaning.names[1 - thing], meaning.names[thing])
    assert f"0 to {high // 2} is {low_name}, {high // 2 + 1} to {high} is {high_name}" in said


def test_smoothed_thin_structures_have_two_classes(make) -> None:
    def lines(number: int, mask: np.ndarray) -> np.ndarray:
        thin = np.zeros(SIZE, np.uint8)
        cv2.line(thin, (3, 5 + number), (44, 30 - number), 255, 2)
        return cv2.GaussianBlur(thin, (3, 3), 0)

    meaning, classes = read(make(lines))
    assert meaning.names == ("background", "foreground") and 0.02 < (classes == 1).mean() < 0.08


@pytest.mark.parametrize(
    ("mask", "names", "void"),
    [
        (lambda n, m: white(m), ("background", "foreground"), False),
        (lambda n, m: white(m).astype(np.uint16) * 257, ("background", "foreground"), False),
        (lambda n, m: white(m, 128), ("0", "128"), False),
        (lambda n, m: white(m, 1), ("0", "1"), False),
        (lambda n, m: m, ("0", "1", "2"), False),
        (lambda n, m: m * 100, ("0", "100", "200"), False),
        (lambda n, m: m.astype(np.uint16) * 300, ("0", "300", "600"), False),
        (lambda n, m: np.where(m == 1, np.uint8(255), white(m, 7) // 1), ("0", "7"), True),
        (lambda n, m: np.where(m > 0, np.uint8(1), np.uint8(255)), ("1", "255"), False),
        (lambda n, m: Image.fromarray(m > 0), ("0", "1"), False),
    ],
)
def test_values_with_sharp_edges_are_classes(make, mask, names: tuple[str, ...], void: bool) -> None:
    meaning, classes = read(make(mask))
    assert meaning.names == names
    assert (255 in classes) == void
    listed = {level.value: level.pixels for level in meaning.levels}
    assert sum(listed.values()) == classes.size
    for level in meaning.levels:
        index = 255 if level.class_name == "void" else names.index(level.class_name)
        assert level.pixels == (classes == index).sum()


def test_many_classes_of_narrow_objects_are_no_soft_edges(make) -> None:
    def streets(number: int, mask: np.ndarray) -> np.ndarray:
        picture = np.repeat(np.arange(34, dtype=np.uint8), 2)[: SIZE[1]][None].repeat(SIZE[0], axis=0)
        return np.where(np.indices(SIZE)[0] > 30, picture, np.uint8(7)) + np.uint8(10 * (number % 2))

    meaning, _ = read(make(streets))
    assert set(meaning.names) == {str(value) for value in range(34)}


def test_lines_between_two_classes_are_a_third_class(make) -> None:
    def trimap(number: int, mask: np.ndarray) -> np.ndarray:
        picture = white(mask)
        edge = cv2.dilate(picture, np.ones((3, 3))) != picture
        picture[edge] = 128
        return picture

    meaning, classes = read(make(trimap))
    assert meaning.names == ("0", "128") and (classes == 255).any()


def test_soft_edges_between_three_levels_are_refused_with_advice(make) -> None:
    with pytest.raises(
        UserError, match=r"lie along edges only .* as in .*aa\.png; regions have 0, 100, 200: save"
    ) as told:
        read(make(lambda n, m: resized(m * np.uint8(100))))
    assert "nearest neighbour" in str(told.value)


@pytest.mark.parametrize("table", [None, ["a", "b", "c"]])
def test_jpeg_masks_of_more_classes_are_refused(make, table) -> None:
    with pytest.raises(UserError, match=r"aa\.jpg: JPEG changes class numbers along every edge: save masks as PNG"):
        read(make(lambda n, m: (m * np.uint8(100), ".jpg", {}), table))


def test_255_that_may_be_a_class_is_warned_of_with_advice(make, caplog) -> None:
    levels = np.array([255, 128, 0], np.uint8)
    root = make(lambda n, m: levels[m])
    meaning, classes = read(root)
    share = (TRUTH == 0).mean()
    assert meaning.names == ("0", "128") and (classes == 255).mean() == share
    assert f"255 is read as void (no label), which is {share:.0%} of the pixels" in caplog.text
    mend = caplog.text.split("declare it in classes.json: ")[1].splitlines()[0]
    (root / "classes.json").write_text(mend)
    meaning, classes = read(root)
    assert meaning.names == ("0", "128", "255") and not meaning.warnings
    np.testing.assert_array_equal(classes, 2 - TRUTH)


def test_levels_are_matched_to_names_in_order(make) -> None:
    meaning, classes = read(make(lambda n, m: np.array([0, 128, 255], np.uint8)[m], ["ground", "disc", "cup"]))
    np.testing.assert_array_equal(classes, TRUTH)
    assert "255 is cup" in meaning.notes[0]
    meaning, classes = read(make(lambda n, m: m + np.uint8(1), ["ground", "disc", "cup"]))
    np.testing.assert_array_equal(classes, TRUTH)


WHITE_LEAF = [{"name": "leaf", "colour": [255, 255, 255]}, {"name": "ground", "colour": [0, 0, 0]}]
GREEN_LEAF = [{"name": "leaf", "colour": [48, 112, 32]}, {"name": "ground", "colour": [0, 0, 0]}]


def painted(mask: np.ndarray, colours: list[Colour]) -> np.ndarray:
    return np.array(colours, np.uint8)[mask]


@pytest.mark.parametrize(
    ("table", "mask"),
    [
        (WHITE_LEAF, lambda n, m: white(m)),
        (WHITE_LEAF, lambda n, m: np.repeat(white(m)[..., None], 3, axis=2)),
        (WHITE_LEAF, lambda n, m: Image.fromarray(m > 0)),
        (WHITE_LEAF, lambda n, m: Image.fromarray(m > 0) if n % 2 else white(m)),
        (GREEN_LEAF, lambda n, m: painted(m, [(0, 0, 0), (48, 112, 32), (48, 112, 32)])),
        (GREEN_LEAF, lambda n, m: Image.fromarray(painted(m, [(0, 0, 0), *[(48, 112, 32)] * 2])).quantize(2)),
        (GREEN_LEAF, lambda n, m: np.dstack([painted(m, [(0, 0, 0), *[(48, 112, 32)] * 2]), white(m)])),
        (GREEN_LEAF, lambda n, m: 1 - white(m, 1)),
    ],
)
def test_colours_of_a_table_are_matched(make, table, mask) -> None:
    _, classes = read(make(mask, table))
    np.testing.assert_array_equal(classes, ~TWO)


def test_empty_masks_saved_as_greyscale_match_colours(make) -> None:
    def mask(number: int, real: np.ndarray) -> np.ndarray:
        return np.zeros(SIZE, np.uint8) if number % 3 == 0 else painted(real, [(0, 0, 0), *[(48, 112, 32)] * 2])

    meaning, classes = read(make(mask, GREEN_LEAF))
    wanted = ~TWO
    wanted[::3] = True
    np.testing.assert_array_equal(classes, wanted)
    assert {level.value: level.class_name for level in meaning.levels} == {
        (0, 0, 0): "ground",
        0: "ground",
        (48, 112, 32): "leaf",
    }
    assert "(48, 112, 32) is leaf" in meaning.notes[0]


def test_index_masks_with_colours_for_display_only(make) -> None:
    table = [
        {"name": "a", "colour": [10, 10, 10]},
        {"name": "b", "colour": [9, 9, 9]},
        {"name": "c", "colour": [1, 2, 3]},
    ]
    _, classes = read(make(lambda n, m: m, table))
    np.testing.assert_array_equal(classes, TRUTH)


def test_grey_palettes_and_few_bits_are_read_like_the_other_masks(make) -> None:
    def mask(number: int, real: np.ndarray):
        if number % 3 == 0:
            return Image.fromarray(real > 0)
        if number % 3 == 1:
            index = Image.fromarray((real == 0).astype(np.uint8), "P")
            index.putpalette([255, 255, 255, 0, 0, 0])  # white first, since some tools order colours by frequency
            return index, ".png", {"bits": 1}
        return white(real)

    meaning, classes = read(make(mask))
    assert meaning.names == ("background", "foreground")
    np.testing.assert_array_equal(classes, TWO)


def test_different_palettes_are_read_by_colour(make) -> None:
    def mask(number: int, real: np.ndarray) -> Image.Image:
        index = Image.fromarray((real > 0).astype(np.uint8) ^ np.uint8(number % 2), "P")
        index.putpalette([255] * 3 + [0] * 3 if number % 2 else [0] * 3 + [255] * 3)
        return index

    meaning, classes = read(make(mask))
    assert meaning.names == ("background", "foreground")
    np.testing.assert_array_equal(classes, TWO)


def test_common_palette_is_read_by_index(make) -> None:
    def mask(number: int, real: np.ndarray) -> Image.Image:
        index = Image.fromarray(real, "P")
        index.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        return index

    meaning, classes = read(make(mask))
    assert meaning.names == ("0", "1", "2")
    np.testing.assert_array_equal(classes, TRUTH)


def test_opacity_is_read_if_nothing_else_differs(make) -> None:
    def mask(number: int, real: np.ndarray) -> np.ndarray:
        return np.dstack([np.full((*SIZE, 3), 255, np.uint8), white(real)])

    meaning, classes = read(make(mask))
    assert meaning.names == ("background", "foreground") and "read by their opacity" in meaning.notes[1]
    np.testing.assert_array_equal(classes, TWO)
    root = make(lambda n, m: np.dstack([m, np.full(SIZE, 255 - n, np.uint8)]))
    np.testing.assert_array_equal(read(root)[1], TRUTH)


def test_undeclared_colours_are_refused_with_a_table_to_paste(make) -> None:
    colours: list[Colour] = [(0, 0, 0), (200, 0, 0), (0, 0, 200)]
    root = make(lambda n, m: painted(m, colours))
    with pytest.raises(UserError, match=r"aa\.png is a colour mask, .* write classes\.json .* 3 colours found") as told:
        read(root)
    (root / "classes.json").write_text(str(told.value).split("most frequent first: ")[1])
    meaning, classes = read(root)
    assert sorted(meaning.colours) == sorted(colours)
    for index, colour in enumerate(meaning.colours):
        np.testing.assert_array_equal(classes == index, colours.index(colour) == TRUTH)


@pytest.mark.parametrize("table", [None, ["a", "b"], GREEN_LEAF])
def test_soft_colours_are_refused_with_advice(make, table) -> None:
    def mask(number: int, real: np.ndarray) -> np.ndarray:
        return resized(painted(real, [(0, 0, 0), (48, 112, 32), (200, 30, 32)]))

    with pytest.raises(UserError, match="save the masks again without smoothing"):
        read(make(mask, table))


def test_values_of_no_class_are_counted(make) -> None:
    with pytest.raises(
        UserError, match=r"aa\.png: value 2 \(\d+ pixels\) is not a class of this data set; known are 0, 1, 255$"
    ):
        read(make(lambda n, m: m, ["a", "b"]))
    with pytest.raises(UserError, match=r"2 values are no class \(.* of the pixels\): 100, 200$"):
        read(make(lambda n, m: m * np.uint8(100), ["a", "b"]))


def test_exact_jpeg_is_read(make) -> None:
    def mask(number: int, real: np.ndarray):
        blocks = np.zeros(SIZE, np.uint8)
        blocks[8:24, 8 : 8 * (2 + number % 4)] = 255
        return blocks, ".jpg" if number % 2 else ".png", {}

    meaning, classes = read(make(mask))
    assert meaning.names == ("background", "foreground") and set(np.unique(classes)) == {0, 1}


def test_masks_of_0_and_1_and_of_0_and_255_are_warned_of(make) -> None:
    meaning, _ = read(make(lambda n, m: white(m, 255 if n == 0 else 1)))
    assert "8 masks hold 0 and 1, 1 hold 0 and 255, and none holds all three" in meaning.warnings[0]
    border = np.zeros(SIZE, bool)
    border[:2] = True
    meaning, _ = read(make(lambda n, m: np.where(border, np.uint8(255), white(m, 1))))
    assert not meaning.warnings


def test_single_class_and_void_is_warned_of(make) -> None:
    meaning, _ = read(make(lambda n, m: (m == 2).astype(np.uint8) * np.uint8(255), ["a", "b", "c"]))
    assert '{"name": "a", "value": 0}, {"name": "255", "value": 255}' in meaning.warnings[0]


def test_photos_instead_of_masks_are_refused(make) -> None:
    def photo(number: int, real: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(number).normal(0, 12, SIZE)
        return np.clip(40 + 70 * real + 90 * np.indices(SIZE)[0] / SIZE[0] + noise, 0, 255).astype(np.uint8)

    with pytest.raises(UserError, match="are these photos instead of masks"):
        read(make(photo))
