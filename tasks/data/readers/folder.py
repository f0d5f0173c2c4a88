"""Anyone's own data: images/ and masks/, with what else is there (unlabelled/, classes.json, splits/)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.errors import UserError
from tasks.data.files import OTHER_IMAGES, list_images
from tasks.data.images import present_classes
from tasks.data.items import FileItem, pair_up
from tasks.data.masks import MaskCode, mask_values
from tasks.data.palettes import distinct_colours
from tasks.data.parallel import progress_bar, threaded
from tasks.data.readers.class_table import ClassTable, read_class_table
from tasks.data.sets import VOID, Item, LeftOut, Source
from tasks.data.splits import arrange, common_end, left_out, sequence_of
from tasks.data.stems import label_files, pick, read_stems
from tasks.data.together import bring_together

__all__ = ["read_folder"]

_log = logging.getLogger(__name__)

_BLACK_AND_WHITE = MaskCode({0: 0, VOID: 1})

_UNLABELLED = ("unlabelled", "unlabeled")

_GAP = "frames beside a cut through a film"

_SPLITS = {
    "pool": ("pool", "train", "training"),
    "search_val": ("search_val", "ranking"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def read_folder(path: Path, progress: bool = False) -> Source:
    """Read `folder:PATH`.

    images/ and masks/ hold files of the same stem (a mask may add `_mask` or `_L`), or the same
    subfolders train/, val/, test/. Images without a mask are unlabelled ones. groups.csv says which images belong
    together. splits/*.txt (pool or train, search_val, val, test,
    labelled_1_8 ...) list stems instead. unlabelled/ holds images without masks. classes.json names
    the classes, and their colours where masks are colour images.

    Raises:
        UserError: something is missing, does not fit, or cannot be read; the file is named.
    """
    images = _tree(path, ("images",))
    masks = _of_images(images, _tree(path, ("masks", "labels", "annotations")))
    file = path / "classes.json"
    if file.is_file():
        table = _seen(read_class_table(file), masks, path, progress)
    else:
        table = _scan_classes(masks, path, progress)
    end = common_end(list(images))
    masked, bare = _by_mask(images, masks, path)
    items = pair_up(
        masked, masks, table.code, lambda name: sequence_of(name.removesuffix(end)), f"folder:{path}", _mask_stems
    )
    extra = bare | {f"unlabelled/{name}": image for name, image in _tree(path, _UNLABELLED, optional=True).items()}
    unlabelled = tuple(FileItem(name, image) for name, image in extra.items())
    with progress_bar(len(items) + len(unlabelled), f"folder:{path.name} images", progress) as bar:
        together = bring_together(items, unlabelled, path, bar)
    by_name: dict[str, Item] = {item.name: item for item in together.labelled}
    declared = _declared(path / "splits", by_name | {item.name: item for item in together.extra if item.name in bare})
    cut = len(declared) == 1
    untested = {item.name for split, some in declared.items() if split != "pool" for item in some if item.name in bare}
    declared = {split: tuple(item for item in some if item.name in by_name) for split, some in declared.items()}

    def presence(some: Sequence[Item]) -> np.ndarray:
        with progress_bar(len(some), f"folder:{path.name} masks", progress) as bar:
            return present_classes(some, len(table.names), None, bar)

    splits, copies = together.apart(arrange(**declared, presence=presence))
    learnt, beside = together.extra_beside((*splits.validation, *splits.test))
    unused = (
        *_told("images to rank or test on that have no mask", sorted(untested)),
        *_told(_GAP if cut else "images in no split", _names(left_out(together.labelled, *splits[:4], splits.copies))),
        *copies,
        *beside,
    )
    return Source(
        f"folder:{path.name}",
        table.names,
        table.colours,
        **splits._asdict(),
        extra=tuple(item for item in learnt if item.name not in untested),
        copied=together.copies,
        left_out=unused,
        label_files=label_files(path / "splits"),
        labels="all",
    )


def _of_images(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Mapping[str, Path]:
    """The masks that belong to an image, since those of none should not decide which classes there are."""
    stems = {stem for name in images for stem in _mask_stems(name)}
    found = {stem: mask for stem, mask in masks.items() if stem in stems}
    lone = [mask for stem, mask in masks.items() if stem not in stems]
    if found and lone:
        _log.warning("masks without an image, not used: %d, the first is %s", len(lone), lone[0])
    return found or masks


def _by_mask(
    images: Mapping[str, Path], masks: Mapping[str, Path], path: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images that have a mask, and those that have none.

    Raises:
        UserError: none has one.
    """
    masked = {name: image for name, image in images.items() if any(stem in masks for stem in _mask_stems(name))}
    if not masked:
        first, mask = next(iter(images.values())), next(iter(masks.values()))
        raise UserError(
            f"folder:{path}: none of the {len(images)} images has a mask, and the first of {len(masks)} masks is "
            f"{mask.name}: give a mask the name of its image, as {first.stem}.png, or add _mask to it"
        )
    return masked, {name: image for name, image in images.items() if name not in masked}


def _mask_stems(name: str) -> tuple[str, ...]:
    return name, f"{name}_mask", f"{name}_L"


def _tree(path: Path, names: tuple[str, ...], optional: bool = False) -> dict[str, Path]:
    """Images of a folder and of the folders in it, by relative name ("train/0001"); without what tools left there."""
    root = next((path / name for name in names if (path / name).is_dir()), None)
    if root is None:
        if optional:
            return {}
        raise UserError(f"folder:{path} has no folder {names[0]}/: it should hold images/ and masks/")
    found, entries = list_images(root), sorted(root.rglob("*"))
    for folder in (entry for entry in entries if entry.is_dir()):
        prefix = folder.relative_to(root).as_posix()
        if any(part.startswith((".", "@")) for part in prefix.split("/")):
            continue
        found |= {f"{prefix}/{stem}": file for stem, file in list_images(folder).items()}
    if others := [entry for entry in entries if entry.suffix.lower() in OTHER_IMAGES]:
        _log.warning("images of a kind that is not read, passed over: %d, the first is %s", len(others), others[0])
    if not found and not optional:
        raise UserError(f"folder:{path}: {root.name}/ holds no image (jpg, png, webp, tif or bmp)")
    return found


def _declared(splits: Path, items: Mapping[str, Item]) -> dict[str, tuple[Item, ...]]:
    """The splits that list files or subfolders declare; without any, all is pool."""
    declared: dict[str, tuple[Item, ...]] = {}
    lists = {file.stem.lower(): file for file in splits.glob("*.txt")}
    for split, names in _SPLITS.items():
        file = next((lists[name] for name in names if name in lists), None)
        if file is not None:
            declared[split] = pick(items, read_stems(file), str(file))
    known = [name for names in _SPLITS.values() for name in names]
    for stem, file in lists.items():
        if stem not in known and not stem.startswith("labelled_"):
            raise UserError(
                f"{file} lists no split that is known: rename it, or take it out; known are {'.txt, '.join(known)}.txt"
            )
    if not declared:
        for split, names in _SPLITS.items():
            members = tuple(item for name, item in items.items() if "/" in name and name.split("/")[0].lower() in names)
            if members:
                declared[split] = members
    if "pool" not in declared:
        taken = {item.name for members in declared.values() for item in members}
        declared["pool"] = tuple(item for name, item in items.items() if name not in taken)
    return declared


def _seen(table: ClassTable, masks: Mapping[str, Path], path: Path, progress: bool) -> ClassTable:
    """The table, in which 255 is the second of two classes where that is how the masks say it."""
    if table.code.colours or table.code.values != {0: 0, 1: 1, VOID: VOID}:
        return table
    binary = _scanned(masks, path, progress) == {0, VOID}
    return replace(table, code=_BLACK_AND_WHITE) if binary else table


def _scanned(masks: Mapping[str, Path], path: Path, progress: bool) -> set[int]:
    """Every value that the masks hold."""
    with progress_bar(len(masks), f"folder:{path.name} classes", progress) as bar:
        return set().union(*threaded(mask_values, list(masks.values()), bar))


def _scan_classes(masks: Mapping[str, Path], path: Path, progress: bool) -> ClassTable:
    """Classes as the values of index masks, named by them; 0 and 255 alone are background and foreground."""
    values = _scanned(masks, path, progress)
    if values == {0, VOID}:
        return ClassTable(("background", "foreground"), distinct_colours(2), _BLACK_AND_WHITE)
    found = sorted(values - {VOID})
    if not 2 <= len(found) <= 254:
        raise UserError(
            f"folder:{path}: the masks hold {len(found)} values other than 255 (void); between 2 and 254 "
            "classes are needed: are they index masks? If they are colour images, write classes.json"
        )
    code = MaskCode({**{value: index for index, value in enumerate(found)}, VOID: VOID})
    return ClassTable(tuple(map(str, found)), distinct_colours(len(found)), code)


def _told(reason: str, names: Sequence[str]) -> tuple[LeftOut, ...]:
    return (LeftOut(reason, len(names), names[0]),) if names else ()


def _names(items: Sequence[Item]) -> list[str]:
    return [item.name for item in items]
