"""Paint a scene: place its parts, draw them from far to near, and render the image and its labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from nas.tasks.data.scenes.canvas import Canvas
from nas.tasks.data.scenes.finish import finish
from nas.tasks.data.scenes.objects import plan_things
from nas.tasks.data.scenes.street import draw_ground, draw_house, draw_sky, plan_houses
from nas.tasks.data.scenes.world import World, make_world
from nas.tasks.data.sets import VOID, Pixels

__all__ = ["paint"]


def paint(seed: tuple[int, ...], size: tuple[int, int], night: bool) -> tuple[Pixels, Pixels]:
    """Paint a scene; return its image, H x W x 3 RGB uint8, and its labels, H x W uint8.

    Args:
        seed: seed of the scene.
        size: height and width.
        night: whether it is night.
    """
    canvas, world = _draw(seed, size, night)
    return finish(canvas, world, size), _labels(canvas, size)


def _draw(seed: tuple[int, ...], size: tuple[int, int], night: bool) -> tuple[Canvas, World]:
    """Draw the scene at twice the size, without light and weather."""
    height, width = 2 * size[0], 2 * size[1]
    world = make_world(np.random.default_rng(seed), height, width, night)
    canvas = Canvas(height, width)
    draw_sky(canvas, world)
    draw_ground(canvas, world)
    steps: list[tuple[float, Callable[[Canvas, World], None]]] = [
        (house[1], partial(draw_house, house=house)) for house in plan_houses(world)
    ]
    for _, draw in sorted(steps + plan_things(world), key=lambda step: -step[0]):
        draw(canvas, world)
    if world.chance(0.25):
        bonnet = (world.uniform(0.3, 0.7) * width, height * world.uniform(1.0, 1.06))
        paint_ = world.uniform(20, 120)
        canvas.ellipse(bonnet, width * 0.45, height * 0.13, (paint_, paint_, paint_), VOID)
    return canvas, world


def _labels(canvas: Canvas, size: tuple[int, int]) -> Pixels:
    """Labels at the final size, with a border of void."""
    height, width = size
    mask = np.asarray(cv2.resize(canvas.mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    edge = max(1, round(height / 64))
    framed = np.full_like(mask, VOID)
    framed[edge:-edge, edge:-edge] = mask[edge:-edge, edge:-edge]
    return framed
