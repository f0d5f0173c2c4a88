"""The street: sky, skyline, ground, road and houses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nas.tasks.data.scenes.canvas import (
    ASPHALT,
    CLOUD,
    LEAVES,
    LIT,
    PLASTER,
    SMOOTH,
    Canvas,
    Colour,
    Point,
)
from nas.tasks.data.scenes.classes import BUILDING, PAVEMENT, ROAD, SKY, TREE
from nas.tasks.data.scenes.world import LEAVES_COLOURS, WALLS, World

__all__ = ["House", "draw_ground", "draw_house", "draw_sky", "plan_houses"]

FAR = 90.0
_DEPTHS = tuple(float(z) for z in np.geomspace(FAR, 1.6, 9))

# A house: left (0) or right (1) of the road, distances of its two ends, distance of its front from the middle of the
# road, and height, in metres.
House = tuple[int, float, float, float, float]


def draw_sky(canvas: Canvas, world: World) -> None:
    """Draw the sky down to the horizon, with clouds by its texture, and a distant skyline of houses and trees."""
    height, width = canvas.mask.shape
    horizon = max(2, round(world.camera.horizon))
    top = np.array(world.haze) * np.array((0.62, 0.78, 0.98) if world.sun > 0.3 else (0.9, 0.93, 0.97))
    share = np.linspace(0, 1, horizon)[:, None] ** 1.4
    canvas.image[:horizon] = np.clip(top * (1 - share) + np.array(world.haze) * share, 0, 255).astype(np.uint8)[:, None]
    canvas.mask[:horizon] = SKY
    canvas.material[:horizon] = CLOUD
    x = -4.0
    while x < width:
        wide, high = world.uniform(0.03, 0.12) * width, world.uniform(0.0, 0.11) * height
        away = world.uniform(50, 120)
        if world.chance(0.55):
            wall, material = world.one_of(WALLS)
            canvas.box((x, horizon - high), wide, high + 2, world.hazed(wall, away), BUILDING, material)
        else:
            leaf = world.hazed(world.pick(LEAVES_COLOURS[:4]), away)
            canvas.ellipse((x + wide / 2, float(horizon)), wide * 0.7, high * 0.8 + 1, leaf, TREE, LEAVES)
        x += wide


def draw_ground(canvas: Canvas, world: World) -> None:
    """Draw verge, pavement and road, with markings, patches and shadows."""
    horizon = round(world.camera.horizon)
    grass = world.chance(0.55)
    colour = world.pick(LEAVES_COLOURS[:4], 20) if grass else world.vary((138, 134, 128), 24)
    canvas.image[horizon:] = np.clip(colour, 0, 255).astype(np.uint8)
    canvas.mask[horizon:] = TREE if grass else PAVEMENT
    canvas.material[horizon:] = LEAVES if grass else ASPHALT
    tarmac = world.vary((98, 98, 102), 30)
    slabs = world.vary((136, 132, 128), 34)
    if world.chance(0.25):  # then only the kerb and the position tell the two apart
        slabs = world.vary(tarmac, 10)
    (left, right), (wide_left, wide_right) = world.road, world.pavement
    for start, end in ((left - wide_left, left), (right, right + wide_right)):
        _strip(canvas, world, start, end, slabs, PAVEMENT)
    _strip(canvas, world, left, right, tarmac, ROAD)
    kerb = world.vary((168, 166, 160), 30)
    for edge in (left - 0.12, right):
        _strip(canvas, world, edge, edge + 0.14, kerb, PAVEMENT)
    _paint_road(canvas, world, tarmac)
    if world.sun > 0.1:
        _cast_shadows(canvas, world)


def _strip(canvas: Canvas, world: World, start: float, end: float, colour: Colour, label: int | None) -> None:
    """Draw a band of ground along the road, from far to near."""
    point = world.camera.point
    for far, near in pairwise(_DEPTHS):
        quad = (point(start, 0, far), point(end, 0, far), point(end, 0, near), point(start, 0, near))
        canvas.polygon(quad, world.hazed(colour, (far + near) / 2), label, ASPHALT)


def _flat(world: World, left: float, right: float, near: float, far: float) -> list[Point]:
    """A rectangle on the road, in pixels."""
    point = world.camera.point
    return [point(left, 0, far), point(right, 0, far), point(right, 0, near), point(left, 0, near)]


def _paint_road(canvas: Canvas, world: World, tarmac: Colour) -> None:
    """Paint markings, a crossing and patches, which keep the class of the road."""
    left, right = world.road
    white = world.vary((206, 204, 196), 30)
    for _ in range(int(world.rng.integers(0, 5))):
        x, near = world.uniform(left, right - 0.8), world.uniform(3, 22)
        patch = _flat(world, x, min(right, x + world.uniform(0.6, 3)), near, near + world.uniform(0.6, 6))
        canvas.paint([patch], world.vary(tarmac, 34))
    if world.chance(0.75):
        middle = world.uniform(-0.6, 0.6) + (left + right) / 2
        dashes = [_flat(world, middle, middle + 0.15, z, z + 2.2) for z in np.arange(2.4, 50, world.uniform(4, 7))]
        canvas.paint(dashes, white)
    if world.chance(0.4):
        for edge in (left + 0.3, right - 0.45):
            canvas.paint([_flat(world, edge, edge + 0.13, near, near * 1.9) for near in (2.0, 3.8, 7.2, 14.0)], white)
    if world.chance(0.22):
        near = world.uniform(5, 14)
        bars = np.arange(left + 0.4, right - 0.4, 1.0)
        canvas.paint([_flat(world, x, x + 0.5, near, near + 2.6) for x in bars], white)


def _cast_shadows(canvas: Canvas, world: World) -> None:
    """Cast the shadows of the houses on one side, and of something out of view."""
    left, right = world.road
    factor = 1 - 0.5 * world.sun
    dark_left = world.sides[0] < world.sides[1]
    reach = world.uniform(0.5, 5.0)
    start, end = (-30.0, left + reach) if dark_left else (right - reach, 30.0)
    for _ in range(int(world.rng.integers(1, 4))):
        near = world.uniform(1.6, 18)
        canvas.shade(_flat(world, start, end, near, near + world.uniform(3, 16)), factor)
    if world.chance(0.4):
        near = world.uniform(3, 12)
        canvas.shade(_flat(world, -30, 30, near, near + world.uniform(0.5, 3)), factor)


def plan_houses(world: World) -> list[House]:
    """Place houses with gaps along both sides of the road."""
    houses: list[House] = []
    for side in (0, 1):
        density = world.uniform(0.25, 1.0)
        away = world.uniform(1.2, 8)
        while away < FAR * 0.8:
            length = world.uniform(5, 18)
            if world.chance(density):
                front = abs(world.road[side]) + world.pavement[side] + world.uniform(0, 2.5)
                houses.append((side, away, away + length, front, world.uniform(4.5, 17)))
            away += length + (world.uniform(1, 9) if world.chance(0.4) else 0.0)
    return houses


def draw_house(canvas: Canvas, world: World, house: House) -> None:
    """Draw a house: the front along the road, the wall that faces the camera, a roof, windows and a shop."""
    side, near, far, front, height = house
    sign = 1 if side else -1
    x, deep = sign * front, sign * (front + world.uniform(6, 14))
    wall, material = world.one_of(WALLS)
    wall = world.vary(wall, 16)
    point, camera = world.camera.point, world.camera
    lit = world.hazed(wall, near, world.sides[side])
    gable = world.hazed(wall, near, 0.82)
    if world.chance(0.35):
        roof = world.hazed(world.pick(((120, 66, 52), (84, 84, 90), (70, 62, 60))), near)
        top = height + world.uniform(1.2, 3)
        shape = (point(x, height, near), point(deep, height, near), point((x + deep) / 2, top, near))
        slope = (*shape[::2], point((x + deep) / 2, top, far), point(x, height, far))
        canvas.polygon(shape, roof, BUILDING, PLASTER)
        canvas.polygon(slope, roof, BUILDING, PLASTER)
    facing = (point(x, 0, near), point(deep, 0, near), point(deep, height, near), point(x, height, near))
    along = (point(x, 0, near), point(x, 0, far), point(x, height, far), point(x, height, near))
    canvas.polygon(facing, gable, BUILDING, material)
    canvas.polygon(along, lit, BUILDING, material)
    if camera.scale(near) < 2.2:
        return
    _draw_windows(canvas, world, house, x)
    if world.chance(0.3):
        _draw_shop(canvas, world, house, x)


def _draw_windows(canvas: Canvas, world: World, house: House, x: float) -> None:
    """Draw rows of windows on the front, some of them lit at night."""
    side, near, far, _, height = house
    point = world.camera.point
    pitch, wide, tall = world.uniform(2.0, 3.6), world.uniform(0.8, 1.5), world.uniform(1.1, 1.9)
    glass = world.pick(((46, 52, 62), (84, 96, 108), (168, 186, 200), (60, 48, 42)))
    dark: list[Sequence[Point]] = []
    lit: list[Sequence[Point]] = []
    for z in np.arange(max(near, 1.8) + 0.6, min(far - wide, 40.0), pitch).tolist():
        # The front is vertical, so the windows of a column have the same x and are evenly spaced in y.
        (left, ground), (right, ground_right) = point(x, 0, z), point(x, 0, z + wide)
        metre, metre_right = world.camera.scale(z), world.camera.scale(z + wide)
        for low in np.arange(1.0, height - tall, 3.0).tolist():
            high = low + tall
            pane = (
                (left, ground - low * metre),
                (right, ground_right - low * metre_right),
                (right, ground_right - high * metre_right),
                (left, ground - high * metre),
            )
            (lit if world.night and world.chance(0.22) else dark).append(pane)
    canvas.paint(dark, world.hazed(glass, near, world.sides[side]), SMOOTH)
    canvas.paint(lit, (232, 196, 128), LIT)


def _draw_shop(canvas: Canvas, world: World, house: House, x: float) -> None:
    """Draw a shop: a dark ground floor under a coloured board, which belongs to the house and is no sign."""
    _, near, far, _, _ = house
    point = world.camera.point
    start, end = max(near, 1.8), min(far, max(near, 1.8) + world.uniform(3, 9))
    for low, high, colour in (
        (0.2, 2.5, (44, 44, 50)),
        (
            2.5,
            world.uniform(3.0, 3.5),
            world.pick(((170, 40, 36), (36, 70, 140), (214, 190, 60), (228, 226, 220))),
        ),
    ):
        quad = (point(x, low, start), point(x, low, end), point(x, high, end), point(x, high, start))
        canvas.paint([quad], world.hazed(colour, near), LIT if world.night and low > 2 else SMOOTH)
