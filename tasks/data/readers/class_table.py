"""classes.json or classes.txt: the names of the classes of a folder, and how its masks say which is which."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from nas.errors import UserError
from nas.tasks.data.masks import MaskCode
from nas.tasks.data.palettes import Colour, distinct_colours
from nas.tasks.data.sets import VOID
from nas.tasks.data.stems import read_stems
from nas.tasks.data.texts import read_text

__all__ = ["ClassTable", "find_class_table", "read_class_table"]

_SUBJECTS = frozenset(
    [
        "class",
        "classes",
        "classnames",
        "label",
        "labels",
        "labelmap",
        "category",
        "categories",
        "names",
        "palette",
        "legend",
        "codes",
        "colour",
        "colours",
        "color",
        "colors",
        "colourmap",
        "colormap",
    ]
)
_OTHERS = frozenset(["name", "list", "map", "dict", "table", "index", "id", "ids", "obj"])
_SUFFIXES = (".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".names", ".xml", ".xls", ".xlsx", ".md")

_COLOURED = re.compile(r"(?P<name>.*?\D)[\s,;:]+(?P<rgb>\d{1,3}[\s,;]+\d{1,3}[\s,;]+\d{1,3})")
_NUMBERED = re.compile(r"(?P<value>\d{1,5})[\s,;:=]+(?P<name>\D.*)")


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassTable:
    """Names, colours to show them in, and the values and colours of the masks.

    Attributes:
        names: one a class.
        colours: one a class, for pictures.
        code: from values, and from the colours that are declared, to classes; 255 is void where it is no class.
        in_order: the class index of each entry of the list, 255 for those that are void.
        numbered: whether an entry says its value.
        void_declared: whether it is said what is void.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    code: MaskCode
    in_order: tuple[int, ...]
    numbered: bool
    void_declared: bool


def find_class_table(root: Path, masks: Path, images: Iterable[str] = ()) -> ClassTable | None:
    """The classes that a folder declares in classes.json, else in classes.txt; None where it does not.

    A warning names files that look like one of these and are not read.

    Args:
        root: the folder.
        masks: the folder of its masks, where other tools write such files.
        images: names of its images; a file that lists some of them is no list of classes.

    Raises:
        UserError: the file is not of the form it should have.
    """
    file = next((file for name in ("classes.json", "classes.txt") if (file := root / name).is_file()), None)
    stems = {PurePosixPath(name).name for name in images}
    others = [
        path
        for folder in dict.fromkeys((root, masks))
        for path in sorted(folder.iterdir())
        if path != file and _looks_like_a_table(path) and not _lists_images(path, stems)
    ]
    if others:
        why = "" if file is None else f", since {file.name} is"
        mend = "remove it if it says something else"
        if file is None:
            mend = f"write {root / 'classes.txt'}, one name a line in the order of the mask values, or classes.json"
        listed = ", ".join(map(str, others))
        _log.warning("%s looks like a list of the classes and is not read%s: %s", listed, why, mend)
    return None if file is None else read_class_table(file)


def _looks_like_a_table(path: Path) -> bool:
    """Whether a file is called what other tools call a list of classes, such as class_names.txt or label-map.json."""
    words = set(re.findall(r"[a-z]+", path.stem.lower()))
    return path.suffix.lower() in _SUFFIXES and words <= _SUBJECTS | _OTHERS and bool(words & _SUBJECTS)


def _lists_images(path: Path, stems: Collection[str]) -> bool:
    """Whether a text file lists images, as one for --labels does."""
    try:
        listed = read_stems(path) if path.suffix.lower() == ".txt" else ()
    except UserError:
        return False
    return any(PurePosixPath(stem).name in stems for stem in listed)


def read_class_table(path: Path) -> ClassTable:
    """Read a list of names, or of {"name", "colour": [R, G, B], "value": index, "void": true}.

    An entry's value is its place in the list unless it says otherwise. An entry called "void", or
    with "void": true, is ignored. {"classes": [...], "void": [values or colours]} is read as well.
    A text file has a name a line, or a name and a colour ("road 128 64 128"), or a value and a name ("7 car").

    Raises:
        UserError: the file is not of this form; the entry is named.
    """
    text = read_text(path, "a list of classes")
    content: Any
    if path.suffix.lower() == ".txt":
        content = _lines(text.splitlines(), path)
    else:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from error
    entries = content.get("classes") if isinstance(content, dict) else content
    void = content.get("void", []) if isinstance(content, dict) else []
    if not isinstance(entries, list):
        raise UserError(f'{path} should hold a list of class names, or of {{"name": ..., "colour": [R, G, B]}}')
    names: list[str] = []
    shown: list[Colour | None] = []
    values: dict[int, int] = {VOID: VOID}
    colours: dict[Colour, int] = {}
    named: dict[int, str] = {}
    order: list[int] = []
    for place, entry in enumerate(entries):
        name, colour, value, ignored = _entry(entry, place, path)
        index = VOID if ignored else len(names)
        if value in named:
            raise UserError(f"{path}: {name} has the value {value} of {named[value]}: give each its own")
        named[value] = name
        values[value] = index
        order.append(index)
        if colour is not None:
            if colour in colours:
                raise UserError(f"{path}: {name} has the colour {list(colour)} of another class")
            colours[colour] = index
        if not ignored:
            names.append(name)
            shown.append(colour)
    for each in [void] if _is_colour(void) or not isinstance(void, list) else void:
        if _is_colour(each):
            index = colours.setdefault(_colour(each, path, "void"), VOID)
        elif _is_value(each):
            index = values.setdefault(each, VOID)
        else:
            raise UserError(f"{path}: void holds {each!r}, which is neither a value nor a colour")
        if index != VOID:
            raise UserError(f"{path}: void holds {each}, which is {names[index]}: give that class another")
    numbered = any(isinstance(entry, dict) and "value" in entry for entry in entries)
    void_declared = VOID in order or VOID in named or void != []
    code = MaskCode(values, colours)
    return ClassTable(_checked(names, path), _to_show(shown), code, tuple(order), numbered, void_declared)


def _lines(lines: Iterable[str], path: Path) -> list[dict[str, Any]]:
    """The entries of a text file, of lines of one form."""
    found = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not found:
        raise UserError(f"{path} names no class: write one name a line")
    coloured, numbered = ([form.fullmatch(line) for line in found] for form in (_COLOURED, _NUMBERED))
    if all(coloured):
        return [
            {"name": match["name"].rstrip(" ,;:"), "colour": [int(part) for part in re.findall(r"\d+", match["rgb"])]}
            for match in coloured
            if match
        ]
    if all(numbered):
        return [{"name": match["name"].strip(), "value": int(match["value"])} for match in numbered if match]
    return [{"name": line} for line in found]


def _entry(entry: Any, place: int, path: Path) -> tuple[str, Colour | None, int, bool]:
    """Name, colour, mask value and whether it is void, of one entry of the list."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"{path}: entry {place} has no name: {entry!r}")
    name, value = entry["name"], entry.get("value", place)
    strange = sorted(set(entry) - {"name", "colour", "color", "value", "void"})
    if strange:
        raise UserError(f"{path}: {name} has {strange[0]!r}; known are name, colour, value and void")
    if not isinstance(entry.get("void", False), bool):
        raise UserError(f"{path}: void of {name} is {entry['void']!r}; write true or false")
    if not _is_value(value):
        raise UserError(f"{path}: the value of {name} is {value!r}, which no mask can hold")
    raw = entry.get("colour", entry.get("color"))
    colour = None if raw is None else _colour(raw, path, name)
    return name, colour, value, bool(entry.get("void", name.lower() == "void"))


def _is_value(raw: Any) -> TypeGuard[int]:
    return isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 1 << 16


def _is_colour(raw: Any) -> bool:
    return isinstance(raw, list) and len(raw) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in raw)


def _colour(raw: Any, path: Path, name: str) -> Colour:
    if not _is_colour(raw):
        raise UserError(f"{path}: the colour of {name} is {raw!r}; write [red, green, blue], each 0 to 255")
    return raw[0], raw[1], raw[2]


def _checked(names: list[str], path: Path) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path} names the class {twice} twice")
    if not 2 <= len(names) <= 254:
        raise UserError(f"{path} names {len(names)} classes; between 2 and 254 are needed")
    return tuple(names)


def _to_show(colours: list[Colour | None]) -> tuple[Colour, ...]:
    """The declared colours, with distinct ones where there is none."""
    spare = (colour for colour in distinct_colours(2 * len(colours)) if colour not in colours)
    return tuple(colour or next(spare) for colour in colours)
