"""Turn a flat drawing into a photograph by texture, light, weather, blur and sensor noise."""

from __future__ import annotations

import cv2
import numpy as np

from nas.tasks.data.scenes.canvas import GRAIN, LIT, Canvas
from nas.tasks.data.scenes.classes import PAVEMENT, ROAD
from nas.tasks.data.scenes.world import World
from nas.tasks.data.sets import Pixels

__all__ = ["finish"]

Floats = np.ndarray


def finish(canvas: Canvas, world: World, size: tuple[int, int]) -> Pixels:
    """Render the image at `size` (H, W) from a canvas of twice the size: H x W x 3 uint8."""
    picture: Floats = canvas.image.astype(np.float32)
    picture *= _texture(canvas, world)[..., None]
    if world.night:
        picture = _darkness(picture, canvas, world)
    if world.rain:
        picture = _wetness(picture, canvas, world)
    picture = _blur(picture, world)
    height, width = size
    picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    picture = _exposure(picture, world)
    if world.rain:
        picture += _streaks(world, size)
    noise = world.rng.standard_normal(picture.shape, np.float32)
    picture += noise * np.float32(world.uniform(5, 11) if world.night else world.uniform(1.5, 7))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def _field(world: World, shape: tuple[int, int], cell: int) -> Floats:
    """Noise with mean 0, variance of about 1, and blobs of `cell` pixels."""
    height, width = shape
    if cell == 1:
        return world.rng.standard_normal(shape, np.float32)
    small = world.rng.standard_normal((height // cell + 2, width // cell + 2), np.float32)
    return np.asarray(1.4 * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _texture(canvas: Canvas, world: World) -> Floats:
    """Brightness factor of each pixel by the texture of its material."""
    shape = canvas.mask.shape
    step = max(1, shape[0] // 128)
    factor = np.ones(shape, np.float32)
    for scale, cell in enumerate((18 * step, 4 * step, step)):
        factor += GRAIN[:, scale][canvas.material] * _field(world, shape, cell)
    return np.clip(factor, 0.3, 1.7)


def _glow(canvas: Canvas) -> Floats:
    """Glow of the lamps, drawn at a quarter of the size since it is soft."""
    height, width = canvas.mask.shape
    small = np.zeros((height // 4, width // 4, 3), np.float32)
    rows = np.arange(height // 4, dtype=np.float32)[:, None]
    columns = np.arange(width // 4, dtype=np.float32)[None]
    for (x, y), radius, colour in canvas.lamps:
        spread = np.float32(2 * min(max(0.8, radius / 4), height / 16) ** 2)
        halo = np.exp(-((rows - y / 4) ** 2) / spread) * np.exp(-((columns - x / 4) ** 2) / spread)
        small += halo[..., None] * np.array(colour, np.float32) * np.float32(0.6)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _darkness(picture: Floats, canvas: Canvas, world: World) -> Floats:
    """Darken to night: unlit parts become dark and blue, and the headlights of the camera light the road."""
    height, width = canvas.mask.shape
    ambient = np.array((0.26, 0.28, 0.36), np.float32) * np.float32(world.uniform(0.7, 1.4))
    down = (np.arange(height, dtype=np.float32)[:, None] - world.camera.horizon) / height
    across = (np.arange(width, dtype=np.float32)[None] - world.camera.centre) / (0.4 * width)
    beam = np.exp(-(across**2)) * np.clip(0.3 + down * 4, 0, 1) * np.exp(-np.clip(down, 0, 1))
    light = ambient + beam[..., None].astype(np.float32) * np.array((0.5, 0.48, 0.42), np.float32)
    light[canvas.material == LIT] = 1.0
    shown, glow = np.minimum(picture * light / 255, 1), 1 - np.exp(-_glow(canvas) / 255)
    return np.asarray(255 * (1 - (1 - shown) * (1 - glow)), np.float32)


def _wetness(picture: Floats, canvas: Canvas, world: World) -> Floats:
    """Let the wet ground mirror what is above it."""
    height = canvas.mask.shape[0]
    horizon = round(world.camera.horizon)
    rows = np.clip(2 * horizon - np.arange(height), 0, height - 1)
    mirror = cv2.blur(picture[rows], (3, 15))
    wet = ((canvas.mask == ROAD) | (canvas.mask == PAVEMENT))[..., None]
    share = np.float32(world.uniform(0.3, 0.6))
    return np.asarray(np.where(wet, picture * np.float32(0.8) + mirror * share, picture))


def _exposure(picture: Floats, world: World) -> Floats:
    """Apply gain, contrast, white balance, and a gradient of light."""
    height, width = picture.shape[:2]
    white = world.rng.uniform(0.9, 1.1, 3).astype(np.float32) * np.float32(world.uniform(0.72, 1.2))
    gamma = np.float32(world.uniform(0.8, 1.25))
    tilt = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * np.float32(world.uniform(-0.16, 0.16))
    fall = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None] * np.float32(world.uniform(-0.16, 0.16))
    scaled = np.clip(picture * white * (1 + tilt + fall) / 255, 0, 1.15)
    return np.asarray(255 * scaled**gamma, np.float32)


def _blur(picture: Floats, world: World) -> Floats:
    """Blur by an imperfect focus or by camera motion."""
    scale = picture.shape[0] / 128
    if world.chance(0.2):
        length = max(2, round(world.uniform(2, 6) * scale))
        return np.asarray(cv2.blur(picture, (length, 1)))
    sigma = world.uniform(0.3, 1.15) * scale
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def _streaks(world: World, size: tuple[int, int]) -> Floats:
    """Draw rain in front of the lens."""
    height, width = size
    layer = np.zeros((height, width), np.uint8)
    lean = world.uniform(-0.4, 0.4)
    for _ in range(int(world.uniform(20, 90))):
        x, y, length = world.uniform(0, width), world.uniform(0, height), world.uniform(0.03, 0.12) * height
        end = round(x + lean * length), round(y + length)
        cv2.line(layer, (round(x), round(y)), end, int(world.uniform(30, 100)), 1, cv2.LINE_AA)
    return np.asarray(0.7 * cv2.blur(layer, (1, 3)).astype(np.float32)[..., None])
