"""CamVid in the layout of the SegNet tutorial, with or without declared splits, or in the original layout."""

from __future__ import annotations

from pathlib import Path

from nas.errors import UserError
from nas.tasks.data.files import list_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import CAMVID, CAMVID_ORIGINAL
from nas.tasks.data.readers.layout import need_folder
from nas.tasks.data.sets import VOID, Source
from nas.tasks.data.splits import Division, arrange, left_out, sequence_of
from nas.tasks.data.stems import label_files, pick, read_stems

__all__ = ["read_camvid"]

_CLASSES = tuple(CAMVID)
_INDEX = MaskCode({**{index: index for index in range(11)}, 11: VOID, 255: VOID})
_COLOURS = MaskCode({}, {colour: _CLASSES.index(name) if name else VOID for colour, name in CAMVID_ORIGINAL.items()})
_TEST_FROM = 8550  # first test frame of sequence 0001TP; all of Seq05VD is for testing too
_VAL = range(7959, 8160)  # validation frames of sequence 0016E5, the odd ones only


def read_camvid(path: Path, progress: bool = False) -> Source:
    """Read `camvid:PATH`, with 11 classes.

    Candidates are ranked on the last third of each training sequence. The official validation clip is not used, since
    its frames nearly repeat training frames.

    Raises:
        UserError: a folder is missing, or images and masks do not match.
    """
    if (path / "LabeledApproved_full").is_dir():
        return _read_original(path)
    if not (path / "train").is_dir():
        raise UserError(
            f"camvid:{path} does not look like CamVid: it should hold train/ and trainannot/ "
            "(SegNet tutorial) or 701_StillsRaw_full/ and LabeledApproved_full/"
        )
    train, test = _split(path, "train"), _split(path, "test")
    splits = path / "splits"
    if not (splits / "pool.txt").is_file():
        return _source(arrange(train, test=test))
    items = {item.name: item for item in (*train, *test)}
    pool, ranking, final = (
        pick(items, read_stems(file), str(file))
        for file in (splits / "pool.txt", splits / "search_val.txt", splits / "test.txt")
    )
    return _source(Division(pool, ranking, final, left_out(train, pool, ranking)), label_files(splits))


def _split(path: Path, name: str) -> tuple[FileItem, ...]:
    images = list_images(need_folder(path / name, "camvid"))
    masks = list_images(need_folder(path / f"{name}annot", "camvid"))
    return pair_up(images, masks, _INDEX, sequence_of, f"camvid:{path / name}")


def _read_original(path: Path) -> Source:
    images = list_images(need_folder(path / "701_StillsRaw_full", "camvid"))
    masks = list_images(path / "LabeledApproved_full")
    items = pair_up(images, masks, _COLOURS, sequence_of, f"camvid:{path}", lambda stem: (f"{stem}_L", stem))
    parts: dict[str, list[FileItem]] = {"train": [], "val": [], "test": []}
    for item in items:
        parts[_official_split(item.name)].append(item)
    return _source(arrange(parts["train"], test=parts["test"] or None))


def _official_split(name: str) -> str:
    """Official split of a frame of the original release: "train", "val" or "test"."""
    film, _, frame = name.partition("_")
    number = int("".join(filter(str.isdigit, frame)) or 0)
    if film == "Seq05VD" or (film == "0001TP" and number >= _TEST_FROM):
        return "test"
    return "val" if film == "0016E5" and number in _VAL and number % 2 else "train"


def _source(splits: Division, labels: dict[str, tuple[str, ...]] | None = None) -> Source:
    return Source("camvid", _CLASSES, tuple(CAMVID.values()), **splits._asdict(), label_files=labels or {})
