"""Merge classes of a data set into fewer ones (`--group-classes`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.space import find_shipped
from nas.tasks.data.sets import VOID, Item, Pixels, Source

__all__ = ["Groups", "group_classes", "read_groups"]

Groups = dict[str, list[str]]
"""From a new class to the classes that it merges; the classes under "void" become void."""

_VOID_KEY = "void"


def read_groups(given: str | Path | Mapping[str, Any]) -> Groups:
    """Read groups such as {"road": ["road", "sidewalk"], "vehicle": ["car", "bus"], "void": ["sky"]}.

    Args:
        given: a JSON file, the name of a shipped one (presets/cityscapes_4.json), or its content.

    Raises:
        UserError: the file cannot be read or does not have this form; the group is named.
    """
    if isinstance(given, Mapping):
        return _checked(given, "group classes")
    path = find_shipped(given) or Path(given).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
    except OSError as error:
        raise UserError(f"group classes: {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error
    except KeyError as error:
        raise UserError(f"{path}: group {error.args[0]} occurs twice: merge the two") from None
    return _checked(content, str(path))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refusing repeated keys, of which Python would silently keep the last.

    Raises:
        KeyError: a key is repeated.
    """
    named = Counter(_void_or(group) for group, _ in pairs)
    repeated = next((group for group, times in named.items() if times > 1), None)
    if repeated is not None:
        raise KeyError(repeated)
    return dict(pairs)


def _void_or(group: str) -> str:
    return _VOID_KEY if group.lower() == _VOID_KEY else group


def _checked(content: Any, where: str) -> Groups:
    if not isinstance(content, Mapping):
        raise UserError(f'{where} should hold an object of lists, such as {{"vehicle": ["car", "bus"], ...}}')
    content = {_void_or(str(group)): members for group, members in content.items()}
    of_class: dict[str, str] = {}
    for group, members in content.items():
        if not group.strip():
            raise UserError(f"{where}: a group has no name: give it one")
        if not isinstance(members, list | tuple) or not all(isinstance(member, str) for member in members):
            raise UserError(f'{where}: group {group} is {members!r}: write a list of classes, such as ["car", "bus"]')
        if not members and group != _VOID_KEY:
            raise UserError(f"{where}: group {group} is empty: add classes, or remove it")
        for member in members:
            if member in of_class:
                both = f"twice in {group}" if of_class[member] == group else f"in {of_class[member]} and in {group}"
                raise UserError(f"{where}: {member} is {both}: put each class into one group")
            of_class[member] = group
    if len(set(content) - {_VOID_KEY}) < 2:
        raise UserError(f"{where}: at least 2 groups besides void are needed")
    return {group: list(members) for group, members in content.items()}


def group_classes(source: Source, groups: Groups) -> Source:
    """Return the source with the groups as its classes; each has the colour of its first class.

    Raises:
        UserError: a group names an unknown class, or a class of the source is in no group.
    """
    named = [(group, member) for group, members in groups.items() for member in members]
    unknown = next((pair for pair in named if pair[1] not in source.classes), None)
    if unknown is not None:
        raise UserError(
            f"group {unknown[0]}: {source.name} has no class {unknown[1]!r}; its classes are "
            + ", ".join(source.classes)
        )
    group_of = {member: group for group, member in named}
    missing = [name for name in source.classes if name not in group_of]
    if missing:
        raise UserError(
            f"{source.name}: no group contains {', '.join(missing)}: add them to a group, or to {_VOID_KEY!r}"
        )
    kept = [group for group in groups if group != _VOID_KEY]
    table = np.full(VOID + 1, VOID, np.uint8)
    for index, name in enumerate(source.classes):
        if group_of[name] != _VOID_KEY:
            table[index] = kept.index(group_of[name])
    first_classes = (source.classes.index(groups[group][0]) for group in kept)

    def grouped(items: tuple[Item, ...]) -> tuple[Item, ...]:
        return tuple(GroupedItem(item.name, item.sequence, item, table, item.group) for item in items)

    return replace(
        source,
        classes=tuple(kept),
        palette=tuple(source.palette[index] for index in first_classes),
        pool=grouped(source.pool),
        validation=grouped(source.validation),
        test=grouped(source.test),
        spare=grouped(source.spare),
    )


@dataclass(frozen=True, eq=False)
class GroupedItem(Item):
    """An item whose mask holds merged classes.

    Attributes:
        item: the item with the original classes.
        table: new value of each of the 256 mask values.
    """

    name: str
    sequence: str | None
    item: Item
    table: Pixels
    group: str | None = None

    @property
    def stems(self) -> tuple[str, ...]:
        return self.item.stems

    @property
    def file(self) -> Path | None:
        return self.item.file

    def image(self, size: tuple[int, int] | None = None) -> Pixels:
        return self.item.image(size)

    def mask(self, size: tuple[int, int] | None = None) -> Pixels:
        return self.table[self.item.mask(size)]

    def pair(self, size: tuple[int, int] | None = None) -> tuple[Pixels, Pixels]:
        image, mask = self.item.pair(size)
        return image, self.table[mask]
