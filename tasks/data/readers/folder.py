"""A user's own images: images/ and masks/, and optionally unlabelled/, splits/, classes.json and groups.csv."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nas.errors import UserError
from nas.tasks.data.file_facts import understand_files
from nas.tasks.data.files import by_stem, describe_unsupported, unsupported_images, walk_images
from nas.tasks.data.items import FileItem, pair_up
from nas.tasks.data.mask_counts import class_pixels
from nas.tasks.data.mask_meaning import MaskMeaning, understand_masks
from nas.tasks.data.parallel import progress_bar
from nas.tasks.data.readers.class_table import find_class_table
from nas.tasks.data.sets import Item, LeftOut, Source
from nas.tasks.data.splits import Division, Presence, arrange, common_end, left_out, sequence_of
from nas.tasks.data.stems import label_files, pick, read_stems
from nas.tasks.data.together import LinkedImages, link_images
from nas.wording import counted

__all__ = ["read_folder"]

_log = logging.getLogger(__name__)

_MASKS = ("masks", "labels", "annotations")

_UNLABELLED = ("unlabelled", "unlabeled")

_GAP = "frames in the gap between two splits of a film"

_SPLITS = {
    "pool": ("pool", "train", "training"),
    "search_val": ("search_val", "ranking"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


class _Splits(NamedTuple):
    """The splits of a folder, the unlabelled images that may be trained on, and what is left out."""

    division: Division
    extra: tuple[FileItem, ...]
    ranking_extra: tuple[Item, ...]
    ranking_left_out: tuple[LeftOut, ...]
    left_out: tuple[LeftOut, ...]


def read_folder(path: Path, progress: bool = False) -> Source:
    """Read `folder:PATH`, a user's own images.

    images/ and masks/ hold files of the same stem; a mask may add `_mask` or `_L`. Images without a mask, and those in
    unlabelled/, are unlabelled. Splits are subfolders train/, val/ and test/, or lists of stems in splits/*.txt (pool
    or train, search_val, val, test, labelled_1_8 ...). classes.json or classes.txt names the classes, and their colours
    if masks are colour images. groups.csv names the group of each image. Links to folders are followed.

    Raises:
        UserError: something is missing, does not fit, or cannot be read; the file is named.
    """
    images = _tree(path, ("images",))
    masks = _of_images(images, _tree(path, _MASKS))
    table = find_class_table(path, _part(path, _MASKS) or path, images)
    meaning = understand_masks(list(masks.values()), table, f"folder:{path}", progress)
    masked, bare = _by_mask(images, masks, path)
    labelled = _pairs(images, masked, masks, meaning, path)
    extra = bare | {f"unlabelled/{name}": image for name, image in _tree(path, _UNLABELLED, optional=True).items()}
    files = understand_files(labelled, list(extra.values()), f"folder:{path}", progress)
    for warning in (*meaning.warnings, *files.warnings):
        _log.warning("%s", warning)
    unlabelled = tuple(FileItem(name, image, scale=files.scale) for name, image in extra.items())
    with progress_bar(len(labelled) + len(unlabelled), f"folder:{path.name} images", progress) as bar:
        linked = link_images(files.items, unlabelled, path, bar)
    for note in (notes := (*meaning.notes, *files.notes, *linked.notes)):
        _log.debug("folder:%s: %s", path.name, note)
    splits = _split(path, linked, meaning, frozenset(bare))
    return Source(
        f"folder:{path.name}",
        meaning.names,
        meaning.colours,
        **splits.division._asdict(),
        extra=splits.extra,
        ranking_extra=splits.ranking_extra,
        ranking_left_out=splits.ranking_left_out,
        copy_count=linked.copy_count,
        left_out=splits.left_out,
        label_files=label_files(path / "splits"),
        labels="all",
        scale=files.scale,
        masks=meaning,
        notes=notes,
        thumbnails=linked.thumbnails,
    )


def _pairs(
    images: Mapping[str, Path],
    masked: Mapping[str, Path],
    masks: Mapping[str, Path],
    meaning: MaskMeaning,
    path: Path,
) -> tuple[FileItem, ...]:
    """Images with their masks. A number in the common end of the names of all images does not count frames."""
    end = common_end(list(images))

    def sequence(name: str) -> str | None:
        return sequence_of(name.removesuffix(end))

    return pair_up(masked, masks, meaning.code, sequence, f"folder:{path}", _mask_stems)


def _split(path: Path, linked: LinkedImages, meaning: MaskMeaning, bare: frozenset[str]) -> _Splits:
    """Divide the images by the declared splits, or else automatically, without leaks between the splits.

    Args:
        path: the folder.
        linked: its images.
        meaning: what their masks mean.
        bare: names of the images in images/ that have no mask; lists may name them.
    """
    by_name: dict[str, Item] = {item.name: item for item in linked.labelled}
    listed = _declared(path / "splits", by_name | {item.name: item for item in linked.extra if item.name in bare})
    declared = {split: tuple(item for item in some if item.name in by_name) for split, some in listed.items()}
    division, copies = linked.without_leaks(arrange(**declared, presence=_presence(linked.labelled, meaning)))
    held_bare = {item.name for split, some in listed.items() if split != "pool" for item in some if item.name in bare}
    extra = [item for item in linked.extra if item.name not in held_bare]
    unlike_test, of_test = linked.unlabelled_without_leaks(extra, division.test, "test")
    kept, of_ranking = linked.unlabelled_without_leaks(unlike_test, division.validation, "ranking")
    reason = _GAP if len(listed) == 1 else "images in no split"
    unused = left_out(linked.labelled, *division[:4], division.copies)
    return _Splits(
        division,
        kept,
        left_out(unlike_test, kept),
        of_ranking,
        (
            *_left_out("ranking or test images without a mask", sorted(held_bare)),
            *_left_out(reason, [item.name for item in unused]),
            *copies,
            *of_test,
        ),
    )


def _presence(items: Sequence[FileItem], meaning: MaskMeaning) -> Presence:
    """A function that tells which classes each of some items shows, from the masks that were counted."""
    shown = {count.path: class_pixels(count, meaning.code)[: len(meaning.names)] > 0 for count in meaning.counts}
    none = np.zeros(len(meaning.names), bool)
    found = {item.name: none if item.mask_path is None else shown.get(item.mask_path, none) for item in items}
    return lambda some: np.array([found[item.name] for item in some]).reshape(len(some), len(none))


def _of_images(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Mapping[str, Path]:
    """The masks that have an image, since other masks should not decide which classes there are."""
    stems = {stem for name in images for stem in _mask_stems(name)}
    found = {stem: mask for stem, mask in masks.items() if stem in stems}
    lone = [mask for stem, mask in masks.items() if stem not in stems]
    if found and lone:
        _log.warning("%s without an image: not used, the first is %s", counted(len(lone), "mask"), lone[0])
    return found or masks


def _by_mask(
    images: Mapping[str, Path], masks: Mapping[str, Path], path: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images with a mask, and those without.

    Raises:
        UserError: no image has a mask.
    """
    masked = {name: image for name, image in images.items() if any(stem in masks for stem in _mask_stems(name))}
    if not masked:
        first, mask = next(iter(images.values())), next(iter(masks.values()))
        raise UserError(
            f"folder:{path}: none of the {len(images)} images has a mask, and the first of {len(masks)} masks is "
            f"{mask.name}: give each mask the name of its image, such as {first.stem}.png or {first.stem}_mask.png"
        )
    return masked, {name: image for name, image in images.items() if name not in masked}


def _mask_stems(name: str) -> tuple[str, ...]:
    return name, f"{name}_mask", f"{name}_L"


def _part(path: Path, names: tuple[str, ...]) -> Path | None:
    """The first existing folder of these names."""
    return next((path / name for name in names if (path / name).is_dir()), None)


def _tree(path: Path, names: tuple[str, ...], optional: bool = False) -> dict[str, Path]:
    """Images of a folder and its subfolders by relative name, such as "train/0001"."""
    root = _part(path, names)
    if root is None:
        if optional:
            return {}
        raise UserError(f"folder:{path} has no folder {names[0]}/: put photos into images/ and their masks into masks/")
    found, others = by_stem(walk_images(root), root), unsupported_images(root)
    if others and found:
        _log.warning("%s", describe_unsupported(others))
    if not found and not optional:
        instead = f". {describe_unsupported(others)}" if others else _other_files(root)
        raise UserError(f"folder:{path}: {root.name}/ holds no image (jpg, png, webp, tif or bmp){instead}")
    return found


def _other_files(root: Path) -> str:
    """Name annotation files that a folder holds instead of images."""
    kinds = Counter(path.suffix.lower() for path in root.rglob("*") if path.suffix.lower() in (".json", ".xml", ".txt"))
    return "".join(f", but {n} {kind}: convert them to masks and save these as PNG" for kind, n in kinds.most_common(1))


def _declared(splits: Path, items: Mapping[str, Item]) -> dict[str, tuple[Item, ...]]:
    """Return the splits declared by lists or subfolders. All other images form the pool."""
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
                f"{file} is not the list of a known split: rename or remove it; known are {'.txt, '.join(known)}.txt"
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


def _left_out(reason: str, names: Sequence[str]) -> tuple[LeftOut, ...]:
    return (LeftOut(reason, len(names), names[0]),) if names else ()
