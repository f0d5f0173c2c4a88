"""Things in a street: trees, hedges, poles, signs, cars, people, and bins of no class."""

from __future__ import annotations

from collections.abc import Callable

from nas.tasks.data.scenes.canvas import LEAVES, LIT, PLASTER, SMOOTH, Canvas, Colour
from nas.tasks.data.scenes.classes import CAR, PERSON, POLE, SIGN, TREE
from nas.tasks.data.scenes.world import CLOTHES, LEAVES_COLOURS, PAINTS, World
from nas.tasks.data.sets import VOID

__all__ = ["Thing", "plan_things"]

# Distance of a thing, and the function that draws it.
Thing = tuple[float, Callable[[Canvas, World], None]]

_METALS: tuple[Colour, ...] = ((112, 114, 116), (58, 60, 62), (190, 192, 192), (44, 62, 48), (92, 70, 58))
_PLATES: tuple[Colour, ...] = ((190, 34, 36), (38, 78, 160), (226, 222, 214), (220, 186, 46), (150, 150, 150))


def plan_things(world: World) -> list[Thing]:
    """Place things at random; they are drawn later, from far to near."""
    things: list[Thing] = []
    for side in (0, 1):
        sign = 1 if side else -1
        kerb, wall = world.road[side], world.road[side] + sign * world.pavement[side]
        things += _greenery(world, sign, kerb, wall)
        things += _posts(world, sign, kerb)
        things += _parked(world, sign, kerb)
        for _ in range(int(world.rng.poisson(0.9))):
            things.append(_person(world, world.uniform(min(kerb, wall), max(kerb, wall)), _near(world, 4, 18)))
        if world.chance(0.3):
            things.append(_bin(world, kerb + sign * 0.6, _near(world, 5, 20)))
    left, right = world.road
    for _ in range(int(world.rng.poisson(0.9))):
        things.append(_car(world, world.uniform(left + 1.1, right - 1.1), _near(world, 6, 50)))
    if world.chance(0.2):
        things.append(_person(world, world.uniform(left, right), _near(world, 5, 20)))
    return things


def _near(world: World, low: float, high: float) -> float:
    """A random distance, more often near than far."""
    return float(low * (high / low) ** world.uniform(0, 1))


def _greenery(world: World, sign: int, kerb: float, wall: float) -> list[Thing]:
    things: list[Thing] = []
    if world.chance(0.6):
        x = world.uniform(min(kerb, wall), max(kerb, wall)) if world.chance(0.5) else wall + sign * 1.5
        step, away = world.uniform(7, 18), world.uniform(4, 14)
        while away < 70:
            if world.chance(0.75):
                things.append(_tree(world, x, away))
            away += step
    if world.chance(0.4):
        start = world.uniform(2, 20)
        things.append(_hedge(world, wall + sign * 0.2, start, start + world.uniform(4, 16)))
    return things


def _posts(world: World, sign: int, kerb: float) -> list[Thing]:
    things: list[Thing] = []
    x = kerb + sign * world.uniform(0.25, 0.7)
    if world.chance(0.75):
        step, away, metal, high = world.uniform(9, 24), world.uniform(4, 12), _METALS, world.uniform(5, 8.5)
        colour, thick = world.pick(metal), world.uniform(0.16, 0.3)
        while away < 30:
            things.append(_pole(x, away, high, thick, colour, -sign * world.uniform(0.6, 2) if high > 6 else 0.0))
            away += step
    if world.chance(0.42):
        things.append(_sign(world, x + sign * 0.2, _near(world, 4.5, 14)))
    return things


def _parked(world: World, sign: int, kerb: float) -> list[Thing]:
    things: list[Thing] = []
    if abs(kerb) > 3.2 and world.chance(0.6):
        away = world.uniform(5, 12)
        for _ in range(int(world.rng.integers(1, 6))):
            things.append(_car(world, kerb - sign * 1.05, away, parked=True))
            away += world.uniform(5, 12)
    return things


def _tree(world: World, x: float, away: float) -> Thing:
    leaves = [LEAVES_COLOURS[index] for index in world.season]
    trunk, high, wide = world.uniform(1.6, 3), world.uniform(2.2, 4.5), world.uniform(1.2, 2.8)
    bark = world.vary((82, 66, 52), 22)
    blobs = [
        (
            world.uniform(-0.8, 0.8),
            world.uniform(-0.75, 0.8),
            world.uniform(0.3, 0.6),
            world.vary(leaves[n % 3], 22),
        )
        for n in range(9 if away < 24 else 4)
    ]

    def draw(canvas: Canvas, world: World) -> None:
        scale = world.camera.scale(away)
        thick = max(1.5, 0.32 * scale)
        crown, base = world.camera.point(x, trunk + high / 2, away), world.camera.point(x, 0, away)
        canvas.box((base[0] - thick / 2, crown[1]), thick, base[1] - crown[1], world.hazed(bark, away), TREE, PLASTER)
        for right, up, size, leaf in blobs:
            at = crown[0] + right * wide * scale, crown[1] - up * high / 2 * scale
            lit = world.hazed(leaf, away, 0.86 + 0.2 * up)
            canvas.ellipse(at, size * wide * scale, size * high / 1.7 * scale, lit, TREE, LEAVES)

    return away, draw


def _hedge(world: World, x: float, near: float, far: float) -> Thing:
    colour, high = world.pick(LEAVES_COLOURS[:4]), world.uniform(0.8, 1.9)

    def draw(canvas: Canvas, world: World) -> None:
        point = world.camera.point
        deep = x + (1.2 if x > 0 else -1.2)
        ends = (point(x, 0, near), point(deep, 0, near), point(deep, high, near), point(x, high, near))
        along = (point(x, 0, near), point(x, 0, far), point(x, high, far), point(x, high, near))
        canvas.polygon(along, world.hazed(colour, near, 0.9), TREE, LEAVES)
        canvas.polygon(ends, world.hazed(colour, near, 1.08), TREE, LEAVES)

    return near, draw


def _pole(x: float, away: float, high: float, thick: float, colour: Colour, arm: float) -> Thing:
    def draw(canvas: Canvas, world: World) -> None:
        scale = world.camera.scale(away)
        wide = max(2.0, 0.5 + thick * scale)
        top, base = world.camera.point(x, high, away), world.camera.point(x, 0, away)
        seen = world.hazed(colour, away)
        canvas.box((top[0] - wide / 2, top[1]), wide, base[1] - top[1], seen, POLE)
        if arm:
            reach = arm * scale
            start = min(top[0], top[0] + reach)
            canvas.box((start, top[1]), abs(reach), max(2.0, 0.12 * scale), seen, POLE)
            lamp = top[0] + reach, top[1] + max(2.0, 0.12 * scale)
            if world.night:
                canvas.box((lamp[0] - 1, lamp[1]), 2, 1, (255, 226, 170), POLE, LIT)
                canvas.lamps.append((lamp, 0.9 * scale, (255, 206, 140)))

    return away, draw


def _sign(world: World, x: float, away: float) -> Thing:
    kind, high, size = world.one_of(range(4)), world.uniform(2.0, 2.9), world.uniform(0.36, 0.58)
    plate, metal = world.pick(_PLATES), world.pick(_METALS)
    on = world.one_of(range(3))
    inner = world.pick(((232, 230, 222), (30, 30, 34), (226, 222, 214)))

    def draw(canvas: Canvas, world: World) -> None:
        scale = world.camera.scale(away)
        _pole(x, away, high, 0.12, metal, 0.0)[1](canvas, world)
        at, radius = world.camera.point(x, high + size * 0.6, away), max(2.0, size * scale)
        colour, inside = world.hazed(plate, away), world.hazed(inner, away)
        if kind == 0:
            canvas.ellipse(at, radius, radius, colour, SIGN)
            canvas.ellipse(at, radius * 0.55, radius * 0.55, inside, SIGN)
        elif kind == 1:
            corners = [
                (at[0], at[1] - radius),
                (at[0] + radius, at[1] + radius),
                (at[0] - radius, at[1] + radius),
            ]
            canvas.polygon(corners, colour, SIGN, SMOOTH)
            canvas.ellipse((at[0], at[1] + radius * 0.4), radius * 0.3, radius * 0.3, inside, SIGN)
        elif kind == 2:
            canvas.box((at[0] - radius, at[1] - radius * 0.8), 2 * radius, 1.6 * radius, colour, SIGN)
            canvas.box((at[0] - radius * 0.6, at[1] - 1), 1.2 * radius, max(1.0, radius * 0.3), inside, SIGN)
        else:  # a traffic light
            canvas.box((at[0] - radius * 0.5, at[1] - radius), radius, 2.4 * radius, (34, 36, 38), SIGN)
            for lamp, hue in enumerate(((224, 50, 40), (228, 170, 50), (60, 200, 110))):
                middle = at[0], at[1] + (lamp - 0.75) * 0.7 * radius
                shown = hue if lamp == on else (54, 54, 54)
                canvas.ellipse(middle, radius * 0.26, radius * 0.26, shown, SIGN, LIT if world.night else SMOOTH)

    return away, draw


def _car(world: World, x: float, away: float, parked: bool = False) -> Thing:
    van = world.chance(0.15)
    high, wide, length = (2.3, 2.0, 5.2) if van else (world.uniform(1.35, 1.6), world.uniform(1.65, 1.85), 4.1)
    paint, towards = world.pick(PAINTS, 18), world.chance(0.5)
    across = away > 9 and world.chance(0.12)
    if across:
        wide, length = length, wide
    low, sill = high if van else high * 0.58, 0.28

    def draw(canvas: Canvas, world: World) -> None:
        left, right, far = x - wide / 2, x + wide / 2, away + length
        side, front, inset = (right if x < 0 else left), away + 0.9, 0.16 * wide
        flank, face, bright = (world.hazed(paint, away, share) for share in (0.78, 1.0, 1.1))
        glass, lean = world.hazed((52, 58, 68), away), side + (x - side) * 0.16

        def panel(colour: Colour, *corners: tuple[float, float, float]) -> None:
            canvas.polygon([world.camera.point(*corner) for corner in corners], colour, CAR, SMOOTH)

        ground = ((left - 0.2, 0, away), (right + 0.2, 0, away), (right, 0, far), (left, 0, far))
        canvas.shade([world.camera.point(*corner) for corner in ground], 0.5)
        panel(flank, (side, sill, away), (side, sill, far), (side, low, far), (side, low, away))
        if not van:
            top, back = (lean, high, front + 0.5), (lean, high, far - 1.1)
            panel(glass, (side, low, front), (side, low, far - 0.6), back, top)
            brow = (left + inset, high, front + 0.5), (right - inset, high, front + 0.5)
            panel(glass, *brow, (right - 0.08, low, front), (left + 0.08, low, front))
            panel(bright, (left, low, front), (right, low, front), (right, low, away), (left, low, away))
        panel(face, (left, low, away), (right, low, away), (right, sill, away), (left, sill, away))
        if van:
            brow = (left + 0.2, 2.1, away), (right - 0.2, 2.1, away)
            panel(glass, *brow, (right - 0.2, 1.4, away), (left + 0.2, 1.4, away))
        _wheels(canvas, world, left, right, away, across)
        if not across:
            _lights(canvas, world, left, right, away, towards, parked)

    return away, draw


def _wheels(canvas: Canvas, world: World, left: float, right: float, away: float, across: bool) -> None:
    scale, black = world.camera.scale(away), world.hazed((24, 24, 26), away)
    tyre = max(1.0, 0.2 * scale)
    for x in (left + 0.8, right - 0.8) if across else (left + 0.2, right - 0.2):
        ground = world.camera.point(x, 0.0, away)
        if across:
            canvas.ellipse((ground[0], ground[1] - 0.3 * scale), 0.33 * scale, 0.33 * scale, black, CAR)
        else:
            canvas.box((ground[0] - tyre / 2, ground[1] - 0.32 * scale), tyre, 0.32 * scale, black, CAR)


def _lights(canvas: Canvas, world: World, left: float, right: float, away: float, towards: bool, parked: bool) -> None:
    """Draw head or tail lights, on at night unless the car is parked."""
    scale = world.camera.scale(away)
    hue: Colour = (240, 238, 224) if towards else (178, 36, 32)
    size, lit = max(1.0, 0.14 * scale), world.night and not parked
    for x in (left + 0.22, right - 0.22):
        at = world.camera.point(x, 0.72, away)
        canvas.ellipse(at, size, size * 0.7, hue, CAR, LIT if lit else SMOOTH)
        if lit:
            canvas.lamps.append((at, (0.7 if towards else 0.4) * scale, hue))


def _person(world: World, x: float, away: float) -> Thing:
    tall, stride = world.uniform(1.45, 1.9), world.uniform(0.0, 0.22)
    coat, legs = world.pick(CLOTHES, 18), world.pick(CLOTHES, 18)
    skin = world.pick(((206, 164, 138), (142, 98, 74), (92, 64, 50)))

    def draw(canvas: Canvas, world: World) -> None:
        scale = world.camera.scale(away) * tall / 1.75
        foot = world.camera.point(x, 0, away)
        trousers, jacket = world.hazed(legs, away), world.hazed(coat, away)
        leg = max(1.5, 0.17 * scale)
        for step in (-1, 1):
            ankle, hip = foot[0] + step * stride * scale, foot[0] + step * 0.07 * scale
            shape = [
                (hip - leg / 2, foot[1] - 0.9 * scale),
                (hip + leg / 2, foot[1] - 0.9 * scale),
                (ankle + leg / 2, foot[1]),
                (ankle - leg / 2, foot[1]),
            ]
            canvas.polygon(shape, trousers, PERSON, SMOOTH)
        canvas.ellipse((foot[0], foot[1] - 1.13 * scale), 0.25 * scale, 0.36 * scale, jacket, PERSON)
        canvas.ellipse((foot[0], foot[1] - 1.6 * scale), 0.12 * scale, 0.15 * scale, world.hazed(skin, away), PERSON)

    return away, draw


def _bin(world: World, x: float, away: float) -> Thing:
    """Draw a litter bin. It has no class and is void, like unlabelled objects of real data sets."""
    colour, wide, high = world.pick(PAINTS), world.uniform(0.4, 0.8), world.uniform(0.7, 1.2)

    def draw(canvas: Canvas, world: World) -> None:
        scale = world.camera.scale(away)
        at = world.camera.point(x - wide / 2, high, away)
        canvas.box(at, wide * scale, high * scale, world.hazed(colour, away), VOID)

    return away, draw
