"""Anyone's own data: images/ and masks/, with what else is there (unlabelled/, classes.json, splits/)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nas.errors import UserError
from tasks.data.copies import without_copies
from tasks.data.file_facts import understand_files
from tasks.data.files import by_stem, describe_unread, unread_images, walk_images
from tasks.data.items import FileItem, pair_up
from tasks.data.mask_meaning import understand_masks
from tasks.data.readers.class_table import find_class_table
from tasks.data.sets import Item, Source
from tasks.data.splits import arrange, common_end, sequence_of
from tasks.data.stems import label_files, pick, read_stems

__all__ = ["read_folder"]

_log = logging.getLogger(__name__)

_MASKS = ("masks", "labels", "annotations")

_SPLITS = {
    "pool": ("pool", "train", "training"),
    "search_val": ("search_val", "ranking"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def read_folder(path: Path, progress: bool = False) -> Source:
    """Read `folder:PATH`.

    images/ and masks/ hold files of the same stem (a mask may add `_mask` or `_L`), or the same
    subfolders train/, val/, test/. splits/*.txt (pool or train, search_val, val, test,
    labelled_1_8 ...) list stems instead. unlabelled/ holds images without masks. classes.json or classes.txt
    names the classes, and their colours where masks are colour images. Links to folders are followed.

    Raises:
        UserError: something is missing, does not fit, or cannot be read; the file is named.
    """
    images = _tree(path, ("images",))
    masks = _of_images(images, _tree(path, _MASKS))
    table = find_class_table(path, _part(path, _MASKS) or path, images)
    meaning = understand_masks(list(masks.values()), table, f"folder:{path}", progress)
    end = common_end(list(images))
    items = pair_up(
        images, masks, meaning.code, lambda name: sequence_of(name.removesuffix(end)), f"folder:{path}", _mask_stems
    )
    extra = _tree(path, ("unlabelled", "unlabeled"), optional=True)
    files = understand_files(items, list(extra.values()), f"folder:{path}", progress)
    by_name: dict[str, Item] = {item.name: item for item in files.items}
    splits = arrange(**_declared(path / "splits", by_name))
    unlabelled = tuple(FileItem(f"unlabelled/{name}", image, scale=files.scale) for name, image in extra.items())
    for note in (notes := (*meaning.notes, *files.notes)):
        _log.info("folder:%s: %s", path.name, note)
    for warning in (*meaning.warnings, *files.warnings):
        _log.warning("%s", warning)
    return Source(
        f"folder:{path.name}",
        meaning.names,
        meaning.colours,
        **splits._asdict(),
        extra=without_copies(unlabelled, (*splits.validation, *splits.test)),
        label_files=label_files(path / "splits"),
        labels="all",
        scale=files.scale,
        masks=meaning,
        notes=notes,
    )


def _of_images(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Mapping[str, Path]:
    """The masks that belong to an image, since those of none should not decide which classes there are."""
    stems = {stem for name in images for stem in _mask_stems(name)}
    found = {stem: mask for stem, mask in masks.items() if stem in stems}
    lone = [mask for stem, mask in masks.items() if stem not in stems]
    if found and lone:
        _log.warning("masks without an image, not used: %d, the first is %s", len(lone), lone[0])
    return found or masks


def _mask_stems(name: str) -> tuple[str, ...]:
    return name, f"{name}_mask", f"{name}_L"


def _part(path: Path, names: tuple[str, ...]) -> Path | None:
    """The first folder of these names that there is."""
    return next((path / name for name in names if (path / name).is_dir()), None)


def _tree(path: Path, names: tuple[str, ...], optional: bool = False) -> dict[str, Path]:
    """Images of a folder and of the folders in it, by relative name ("train/0001"); without what tools left there."""
    root = _part(path, names)
    if root is None:
        if optional:
            return {}
        raise UserError(f"folder:{path} has no folder {names[0]}/: it should hold images/ and masks/")
    found, others = by_stem(walk_images(root), root), unread_images(root)
    if others and found:
        _log.warning("%s", describe_unread(others))
    if not found and not optional:
        instead = f". {describe_unread(others)}" if others else _other_files(root)
        raise UserError(f"folder:{path}: {root.name}/ holds no image (jpg, png, webp, tif or bmp){instead}")
    return found


def _other_files(root: Path) -> str:
    """What a folder without images holds instead, as annotation tools leave it."""
    kinds = Counter(path.suffix.lower() for path in root.rglob("*") if path.suffix.lower() in (".json", ".xml", ".txt"))
    return "".join(f", but {n} {kind}: draw masks from them and save these as PNG" for kind, n in kinds.most_common(1))


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
        _tell_of_folders(items, declared)
    if "pool" not in declared:
        taken = {item.name for members in declared.values() for item in members}
        declared["pool"] = tuple(item for name, item in items.items() if name not in taken)
    return declared


def _tell_of_folders(items: Mapping[str, Item], declared: Mapping[str, Sequence[Item]]) -> None:
    """Warn of images that lie beside the folders that are splits, and serve nothing."""
    used = sum(map(len, declared.values()))
    if "pool" in declared and used < len(items):
        _log.warning("%d images lie in no folder that is a split, and are not used", len(items) - used)
