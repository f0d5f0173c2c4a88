"""The scenes as a data set, whose items are drawn when they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from nas.errors import UserError
from nas.tasks.data.scenes.classes import CLASSES, PALETTE
from nas.tasks.data.sets import Item, Pixels, Source

__all__ = ["COUNTS", "SIZE", "SceneItem", "read_scenes"]

SIZE = (48, 64)
"""Default height and width, in pixels."""

COUNTS = {"pool": 360, "validation": 96, "test": 160}
"""Number of scenes, by split."""

_DOMAINS = ("day", "night")
_KEPT = 256 * 384  # largest number of pixels of a scene that is cached

Drawn = dict[tuple[int, tuple[int, int]], tuple[Pixels, Pixels]]


@dataclass(frozen=True)
class SceneItem(Item):
    """A scene, identified by its domain, split and number, and always drawn the same.

    Image and mask are drawn together. A draw of labels reads the masks of the whole pool first, so `mask` caches small
    scenes until `image` or `pair` reads them.
    """

    domain: str
    split: str
    number: int
    sequence: str | None = None
    drawn: Drawn = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name such as "day-pool-0001"."""
        return f"{self.domain}-{self.split}-{self.number:04d}"

    def image(self, size: tuple[int, int] | None = None) -> Pixels:
        return self.pair(size)[0]

    def mask(self, size: tuple[int, int] | None = None) -> Pixels:
        size = size or SIZE
        image, mask = self.pair(size)
        if size[0] * size[1] <= _KEPT:
            self.drawn[self.number, size] = image, mask
        return mask

    def pair(self, size: tuple[int, int] | None = None) -> tuple[Pixels, Pixels]:
        from nas.tasks.data.scenes.painter import paint

        size = size or SIZE
        kept = self.drawn.pop((self.number, size), None)
        if kept is not None:
            return kept
        seed = _DOMAINS.index(self.domain), list(COUNTS).index(self.split), self.number
        return paint(seed, size, self.domain == "night")


def read_scenes(domain: str = "day") -> Source:
    """Return the scenes of a domain, "day" or "night" (with rain); every scene is a different street.

    Raises:
        UserError: there is no such domain.
    """
    if domain not in _DOMAINS:
        raise UserError(f"data 'scenes:{domain}': there are no such scenes: write scenes:day or scenes:night")
    items = {
        split: tuple(SceneItem(domain, split, number) for number in range(count)) for split, count in COUNTS.items()
    }
    return Source(f"scenes:{domain}", CLASSES, PALETTE, items["pool"], items["validation"], items["test"], size=SIZE)
