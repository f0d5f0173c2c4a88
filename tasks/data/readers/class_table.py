"""classes.json: the names of the classes of a folder, and how its masks say which is which."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from nas.errors import UserError
from tasks.data.masks import MaskCode
from tasks.data.palettes import Colour, distinct_colours
from tasks.data.sets import VOID

__all__ = ["ClassTable", "read_class_table"]


@dataclass(frozen=True)
class ClassTable:
    """Names, colours to show them in, and the code of the masks."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    code: MaskCode


def read_class_table(path: Path) -> ClassTable:
    """Read a list of names, or of {"name", "colour": [R, G, B], "value": index, "void": true}.

    An entry's value is its place in the list unless it says otherwise. An entry called "void", or
    with "void": true, is ignored. {"classes": [...], "void": [values or colours]} is read as well.

    Raises:
        UserError: the file is not of this form; the entry is named.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
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
    for place, entry in enumerate(entries):
        name, colour, value, ignored = _entry(entry, place, path)
        index = VOID if ignored else len(names)
        if value in named:
            raise UserError(f"{path}: {name} has the value {value} of {named[value]}: give each its own")
        named[value] = name
        values[value] = index
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
    for (red, green, blue), index in colours.items():
        # A grey mask may hold the shade itself, as that of foreground, 255.
        if red == green == blue and red not in named and (red == VOID or red not in values):
            values[red] = index
    return ClassTable(_checked(names, path), _to_show(shown), MaskCode(values, colours))


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
