"""World: the random setting of a scene, from the camera to the colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from nas.tasks.data.scenes.canvas import BRICK, PLASTER, Camera, Colour

__all__ = ["CLOTHES", "LEAVES_COLOURS", "PAINTS", "WALLS", "World", "make_world"]

T = TypeVar("T")

# Some walls have the colours of road, pavement, sky and leaves, so that colour alone does not tell them apart.
WALLS: tuple[tuple[Colour, int], ...] = (
    ((150, 84, 66), BRICK),
    ((122, 70, 58), BRICK),
    ((172, 124, 92), BRICK),
    ((196, 182, 152), PLASTER),
    ((214, 208, 196), PLASTER),
    ((120, 120, 122), PLASTER),
    ((92, 92, 96), PLASTER),
    ((152, 150, 146), BRICK),
    ((172, 190, 204), PLASTER),
    ((118, 132, 104), PLASTER),
)
LEAVES_COLOURS: tuple[Colour, ...] = (
    (58, 92, 42),
    (78, 112, 50),
    (44, 72, 44),
    (96, 116, 66),
    (142, 104, 48),
    (128, 72, 46),
)
PAINTS: tuple[Colour, ...] = (
    (196, 198, 200),
    (104, 106, 110),
    (38, 38, 42),
    (230, 230, 228),
    (152, 32, 34),
    (40, 66, 122),
    (62, 96, 58),
    (132, 96, 70),
    (120, 138, 152),
)
CLOTHES: tuple[Colour, ...] = (
    (40, 42, 52),
    (92, 94, 98),
    (136, 40, 42),
    (52, 74, 120),
    (74, 92, 56),
    (182, 176, 164),
    (150, 110, 78),
    (196, 160, 50),
)


@dataclass(frozen=True)
class World:
    """The setting of a scene.

    Attributes:
        rng: random generator, for whole arrays of noise.
        numbers: random numbers in [0, 1), one at a time.
        camera: the camera.
        night: whether it is night and lamps are lit.
        rain: whether it rains, at night only.
        road: positions of the left and right edge of the road, in metres from its middle.
        pavement: width of the left and right pavement, in metres.
        haze: colour of the haze in the distance.
        sight: distance in metres at which haze replaces two thirds of a colour.
        sides: brightness of the house fronts on the left and on the right.
        sun: from 0, overcast, to 1, hard shadows.
        season: indices of the leaf colours of the trees.
    """

    rng: np.random.Generator
    numbers: Iterator[float]
    camera: Camera
    night: bool
    rain: bool
    road: tuple[float, float]
    pavement: tuple[float, float]
    haze: Colour
    sight: float
    sides: tuple[float, float]
    sun: float
    season: tuple[int, ...]

    def uniform(self, low: float, high: float) -> float:
        """Return a random number between `low` and `high`."""
        return low + (high - low) * next(self.numbers)

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return next(self.numbers) < probability

    def one_of(self, options: Sequence[T]) -> T:
        """Return a random option."""
        return options[int(next(self.numbers) * len(options))]

    def vary(self, colour: Colour, spread: float) -> Colour:
        """Vary a colour: brightness by up to `spread`, each channel by up to 0.4 of it."""
        shift, hue = self.uniform(-spread, spread), 0.4 * spread
        red, green, blue = colour
        return (
            red + shift + self.uniform(-hue, hue),
            green + shift + self.uniform(-hue, hue),
            blue + shift + self.uniform(-hue, hue),
        )

    def pick(self, colours: Sequence[Colour], spread: float = 14.0) -> Colour:
        """Return a random colour, varied."""
        return self.vary(self.one_of(colours), spread)

    def hazed(self, colour: Colour, away: float, brightness: float = 1.0) -> Colour:
        """Return a colour as seen through `away` metres of haze."""
        kept = math.exp(-away / self.sight)
        own, lost = kept * brightness, 1 - kept
        return (
            colour[0] * own + self.haze[0] * lost,
            colour[1] * own + self.haze[1] * lost,
            colour[2] * own + self.haze[2] * lost,
        )


def make_world(rng: np.random.Generator, height: int, width: int, night: bool) -> World:
    """Make a random setting for an image of `height` x `width` pixels."""
    uniform = rng.uniform
    camera = Camera(
        horizon=height * float(uniform(0.34, 0.54)),
        centre=width * float(uniform(0.28, 0.72)),
        height=float(uniform(1.3, 2.4)),
        focal=width * float(uniform(0.62, 0.95)),
        bend=width * float(uniform(-0.22, 0.22)) if rng.random() < 0.5 else 0.0,
    )
    overcast = float(rng.random())
    bright, grey = np.array((168.0, 196.0, 224.0)), np.array((204.0, 206.0, 208.0))
    haze = (bright * (1 - overcast) + grey * overcast) * float(uniform(0.85, 1.1))
    sun = 0.0 if night else max(0.0, 1 - 1.6 * overcast)
    lit, dim = 1 + 0.18 * sun, 1 - 0.34 * sun
    sides = (lit, dim) if rng.random() < 0.5 else (dim, lit)
    season = ((0, 1, 2), (0, 2, 3), (1, 3, 4), (3, 4, 5))[int(rng.integers(4))]
    red, green, blue = (min(250.0, float(part)) for part in haze)
    return World(
        rng=rng,
        numbers=_stream(rng),
        camera=camera,
        night=night,
        rain=night and float(rng.random()) < 0.65,
        road=(-float(uniform(2.4, 5.5)), float(uniform(2.4, 5.5))),
        pavement=(float(uniform(1.2, 4.0)), float(uniform(1.2, 4.0))),
        haze=(red, green, blue),
        sight=float(uniform(45, 220)),
        sides=sides,
        sun=sun,
        season=season,
    )


def _stream(rng: np.random.Generator) -> Iterator[float]:
    """Random numbers one at a time, generated in batches since single calls are slow."""
    while True:
        yield from rng.random(1024).tolist()
