"""classes.json or classes.txt: names of the classes of a folder, and their values and colours in its masks."""

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
    """Classes with their colours, and the values and colours of the masks.

    Attributes:
        names: name of each class.
        colours: colour of each class in pictures.
        code: from mask values and declared colours to classes; 255 is void unless it is a class.
        in_order: class index of each entry of the list, 255 if it is void.
        numbered: whether an entry declares its value.
        void_declared: whether the file says what is void.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    code: MaskCode
    in_order: tuple[int, ...]
    numbered: bool
    void_declared: bool


def find_class_table(root: Path, masks: Path, images: Iterable[str] = ()) -> ClassTable | None:
    """Read the classes that a folder declares in classes.json, or else in classes.txt; None without these files.

    A warning names other files that look like a list of classes.

    Args:
        root: the folder.
        masks: the folder of its masks, where other tools write such files.
        images: names of its images; a file that lists some of them is no list of classes.

    Raises:
        UserError: the file does not have the form of a class table.
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
        advice = "remove it if it says something else"
        if file is None:
            advice = f"write {root / 'classes.txt'}, one name a line in the order of the mask values, or classes.json"
        listed = ", ".join(map(str, others))
        _log.warning("%s looks like a list of the classes and is not read%s: %s", listed, why, advice)
    return None if file is None else read_class_table(file)


def _looks_like_a_table(path: Path) -> bool:
    """Whether a file has a name that other tools give to lists of classes, such as class_names.txt."""
    words = set(re.findall(r"[a-z]+", path.stem.lower()))
    return path.suffix.lower() in _SUFFIXES and words <= _SUBJECTS | _OTHERS and bool(words & _SUBJECTS)


def _lists_images(path: Path, stems: Collection[str]) -> bool:
    """Whether a text file lists images, such as a list for --labels."""
    try:
        listed = read_stems(path) if path.suffix.lower() == ".txt" else ()
    except UserError:
        return False
    return any(PurePosixPath(stem).name in stems for stem in listed)


def read_class_table(path: Path) -> ClassTable:
    """Read a list of names, or of {"name", "colour": [R, G, B], "value": index, "void": true}.

    The value of an entry is its position in the list unless it has a "value". An entry called "void", or with
    "void": true, is ignored. {"classes": [...], "void": [values or colours]} is read as well. A text file has one name
    a line, or a name and a colour ("road 128 64 128"), or a value and a name ("7 car").

    Raises:
        UserError: the file does not have this form; the entry is named.
    """
    content = _content(path)
    entries = content.get("classes") if isinstance(content, dict) else content
    void = content.get("void", []) if isinstance(content, dict) else []
    if not isinstance(entries, list):
        raise UserError(f'{path} should hold a list of class names, or of {{"name": ..., "colour": [R, G, B]}}')
    table = _TableBuilder(path)
    for position, entry in enumerate(entries):
        table.add(entry, position)
    for each in [void] if _is_colour(void) or not isinstance(void, list) else void:
        table.add_void(each)
    numbered = any(isinstance(entry, dict) and "value" in entry for entry in entries)
    return table.build(numbered, void != [])


def _content(path: Path) -> Any:
    """The JSON content of a file, or the entries of a text file."""
    text = read_text(path, "a list of classes")
    if path.suffix.lower() == ".txt":
        return _lines(text.splitlines(), path)
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


class _TableBuilder:
    """Collects the entries of a class table and refuses contradictions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.shown: list[Colour | None] = []
        self.values: dict[int, int] = {VOID: VOID}
        self.colours: dict[Colour, int] = {}
        self.name_of_value: dict[int, str] = {}
        self.in_order: list[int] = []

    def add(self, entry: Any, position: int) -> None:
        """Add an entry of the list.

        Raises:
            UserError: it does not have the form of an entry, or its value or colour is taken.
        """
        name, colour, value, ignored = _entry(entry, position, self.path)
        index = VOID if ignored else len(self.names)
        if value in self.name_of_value:
            other = self.name_of_value[value]
            raise UserError(f"{self.path}: {name} has the same value as {other}, {value}: give each its own")
        self.name_of_value[value] = name
        self.values[value] = index
        self.in_order.append(index)
        if colour is not None:
            if colour in self.colours:
                raise UserError(f"{self.path}: {name} has the colour {list(colour)} of another class")
            self.colours[colour] = index
        if not ignored:
            self.names.append(name)
            self.shown.append(colour)

    def add_void(self, each: Any) -> None:
        """Add a value or a colour that is void.

        Raises:
            UserError: it is neither, or belongs to a class.
        """
        if _is_colour(each):
            index = self.colours.setdefault(_colour(each, self.path, "void"), VOID)
        elif _is_value(each):
            index = self.values.setdefault(each, VOID)
        else:
            raise UserError(f"{self.path}: void holds {each!r}, which is neither a value nor a colour")
        if index != VOID:
            raise UserError(
                f"{self.path}: void holds {each}, which belongs to {self.names[index]}: remove one of the two"
            )

    def build(self, numbered: bool, void_listed: bool) -> ClassTable:
        """Return the table.

        Args:
            numbered: whether an entry declares its value.
            void_listed: whether the file lists void values or colours.

        Raises:
            UserError: a name is repeated, or there are too few or too many classes.
        """
        void_declared = VOID in self.in_order or VOID in self.name_of_value or void_listed
        return ClassTable(
            _checked(self.names, self.path),
            _to_show(self.shown),
            MaskCode(self.values, self.colours),
            tuple(self.in_order),
            numbered,
            void_declared,
        )


def _lines(lines: Iterable[str], path: Path) -> list[dict[str, Any]]:
    """The entries of a text file whose lines all have the same form."""
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


def _entry(entry: Any, position: int, path: Path) -> tuple[str, Colour | None, int, bool]:
    """Name, colour and mask value of an entry of the list, and whether it is void."""
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise UserError(f"{path}: entry {position} has no name: {entry!r}")
    name, value = entry["name"], entry.get("value", position)
    strange = sorted(set(entry) - {"name", "colour", "color", "value", "void"})
    if strange:
        raise UserError(f"{path}: {name} has an unknown key {strange[0]!r}: use name, colour, value and void")
    if not isinstance(entry.get("void", False), bool):
        raise UserError(f"{path}: void of {name} is {entry['void']!r}: write true or false")
    if not _is_value(value):
        raise UserError(f"{path}: the value of {name} is {value!r}: write an integer from 0 to 65535")
    raw = entry.get("colour", entry.get("color"))
    colour = None if raw is None else _colour(raw, path, name)
    return name, colour, value, bool(entry.get("void", name.lower() == "void"))


def _is_value(raw: Any) -> TypeGuard[int]:
    return isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw < 1 << 16


def _is_colour(raw: Any) -> bool:
    return isinstance(raw, list) and len(raw) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in raw)


def _colour(raw: Any, path: Path, name: str) -> Colour:
    if not _is_colour(raw):
        raise UserError(f"{path}: the colour of {name} is {raw!r}: write [red, green, blue], each 0 to 255")
    return raw[0], raw[1], raw[2]


def _checked(names: list[str], path: Path) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path} names the class {twice} twice")
    if not 2 <= len(names) <= 254:
        raise UserError(f"{path} names {len(names)} classes: between 2 and 254 are needed")
    return tuple(names)


def _to_show(colours: list[Colour | None]) -> tuple[Colour, ...]:
    """The declared colours; classes without one get a colour of their own."""
    spare = (colour for colour in distinct_colours(2 * len(colours)) if colour not in colours)
    return tuple(colour or next(spare) for colour in colours)
