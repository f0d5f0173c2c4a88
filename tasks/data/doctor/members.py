"""Find the files of a data set: images, masks, and files that are not used.

A search stops at the first error of a data set. Here, a data set that it refuses is read nevertheless.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from nas.errors import UserError
from nas.tasks.data.files import unsupported_images, walk_images
from nas.tasks.data.items import FileItem
from nas.tasks.data.kinds import open_source
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import Colour
from nas.tasks.data.readers.class_table import ClassTable, find_class_table
from nas.tasks.data.recording import recorded_warnings
from nas.tasks.data.sets import Source
from nas.tasks.data.texts import composed

__all__ = ["Member", "Members", "find_members"]

MASK_FOLDERS = ("masks", "labels", "annotations")
UNLABELLED_FOLDERS = ("unlabelled", "unlabeled")
MASK_ENDS = ("", "_mask", "_L")


@dataclass(frozen=True)
class Member:
    """An image, under its name in the splits, and its mask if it has one."""

    name: str
    image: Path
    mask: Path | None


@dataclass(frozen=True)
class Members:
    """The files of a data set.

    Attributes:
        spec: KIND:PATH.
        source: the data set as a search reads it, None if the search refuses it.
        refusal: why the search refuses it, else empty.
        members: the images.
        lone_masks: masks without an image.
        unsupported: images of unsupported formats.
        same_stem: files that differ only in their suffixes, so that one mask would match several images.
        table: classes of classes.json; None if it cannot be read, or if the kind of data set defines the classes.
        warnings: warnings of the reader.
    """

    spec: str
    source: Source | None
    refusal: str
    members: tuple[Member, ...]
    lone_masks: tuple[Path, ...] = ()
    unsupported: tuple[Path, ...] = ()
    same_stem: tuple[tuple[Path, ...], ...] = ()
    table: ClassTable | None = None
    warnings: tuple[str, ...] = ()

    @property
    def items(self) -> dict[str, FileItem]:
        """The images as a search reads them, by name; empty if it refuses the data set."""
        source = self.source
        if source is None:
            return {}
        every = (*source.pool, *source.validation, *source.test, *source.extra, *source.spare, *source.copies)
        return {item.name: item for item in every if isinstance(item, FileItem)}

    @property
    def root(self) -> Path:
        """The folder of the data set."""
        return Path(self.spec.partition(":")[2]).expanduser()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, empty if unknown."""
        known = self.source.classes if self.source is not None else None
        return known if known is not None else self.table.names if self.table is not None else ()

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Colour of each class in pictures."""
        known = self.source.palette if self.source is not None else None
        return known if known is not None else self.table.colours if self.table is not None else ()

    @property
    def code(self) -> MaskCode | None:
        """How to read masks, as far as known before their values are counted."""
        if self.source is not None:
            return next((item.code for item in self.items.values() if item.code is not None), None)
        return self.table.code if self.table is not None else None


def find_members(spec: str, progress: bool = False) -> Members:
    """Find the files of KIND:PATH.

    Raises:
        UserError: there is no such data set, or it has no image files.
    """
    kind, _, place = spec.partition(":")
    root = Path(place).expanduser()
    source, refusal = None, ""
    with recorded_warnings(shown=False) as warnings:
        try:
            source = open_source(spec, progress)
        except UserError as error:
            if kind != "folder" or not (root / "images").is_dir():
                raise
            refusal = str(error)
        if kind == "folder":
            members = _of_folder(spec, root, source, refusal)
    if kind == "folder":
        return replace(members, warnings=tuple(dict.fromkeys(warnings)))
    assert source is not None
    found = Members(spec, source, refusal, (), warnings=tuple(warnings))
    files = found.items.values()
    if not files:
        raise UserError(f"data {spec!r} is drawn by a program and has no files to examine: give KIND:PATH")
    return replace(found, members=tuple(Member(item.name, item.image_path, item.mask_path) for item in files))


def _of_folder(spec: str, root: Path, source: Source | None, refusal: str) -> Members:
    images, unsupported = _images(root / "images")
    masks, unsupported_masks = _images(_first(root, MASK_FOLDERS))
    extra, unsupported_extra = _images(_first(root, UNLABELLED_FOLDERS))
    of_stem = {stem: files[0] for stem, files in masks.items()}
    paired: dict[str, Path | None] = {
        name: next((of_stem[name + end] for end in MASK_ENDS if name + end in of_stem), None) for name in images
    }
    used = {mask for mask in paired.values() if mask is not None}
    members = [Member(name, files[0], paired[name]) for name, files in images.items()]
    members += [Member(f"unlabelled/{name}", files[0], None) for name, files in extra.items()]
    # All files that share a stem are examined, since the broken one may be among them.
    more = [(name, file) for group in (images, extra) for name, files in group.items() for file in files[1:]]
    members += [Member(f"{name}{file.suffix}", file, None) for name, file in more]
    if not members:
        raise UserError(refusal or f"data {spec!r}: {root / 'images'} holds no image")
    return Members(
        spec,
        source,
        refusal,
        tuple(members),
        lone_masks=tuple(mask for mask in of_stem.values() if mask not in used),
        unsupported=(*unsupported, *unsupported_masks, *unsupported_extra),
        same_stem=tuple(tuple(files) for group in (images, masks, extra) for files in group.values() if len(files) > 1),
        table=_table(root),
    )


def _table(root: Path) -> ClassTable | None:
    try:
        return find_class_table(root, _first(root, MASK_FOLDERS) or root)
    except UserError:  # the error is also the reason of the refusal
        return None


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _images(folder: Path | None) -> tuple[dict[str, list[Path]], list[Path]]:
    """Image files below a folder by relative name without suffix, and those of unsupported formats."""
    found: dict[str, list[Path]] = defaultdict(list)
    if folder is None:
        return {}, []
    for path in walk_images(folder):
        found[composed(path.relative_to(folder).with_suffix("").as_posix())].append(path)
    return dict(found), unsupported_images(folder)
