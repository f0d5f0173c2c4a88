"""Camera and canvas: project a scene in metres, and paint its colours, labels and materials from far to near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from nas.tasks.data.sets import VOID

__all__ = [
    "ASPHALT",
    "BRICK",
    "CLOUD",
    "GRAIN",
    "LEAVES",
    "LIT",
    "PLASTER",
    "SMOOTH",
    "Camera",
    "Canvas",
    "Colour",
    "Point",
]

SMOOTH, ASPHALT, BRICK, LEAVES, PLASTER, CLOUD, LIT = range(7)

GRAIN = np.array(
    [
        (0.02, 0.01, 0.00),
        (0.07, 0.05, 0.07),
        (0.06, 0.10, 0.08),
        (0.14, 0.24, 0.14),
        (0.10, 0.05, 0.03),
        (0.10, 0.02, 0.00),
        (0.00, 0.00, 0.00),
    ],
    np.float32,
)
"""Strength of coarse, medium and fine texture of each material, as a share of its brightness."""

Colour = tuple[float, float, float]
Point = tuple[float, float]

_EIGHTHS = 3  # fractional bits of the coordinates for OpenCV: corners are in eighths of a pixel


@dataclass(frozen=True)
class Camera:
    """A camera above a road that projects metres (right, up, away) to pixels.

    Attributes:
        horizon: y of the horizon, in pixels.
        centre: x of the vanishing point, in pixels.
        height: height above the road, in metres.
        focal: focal length, in pixels.
        bend: sideways shift of the road in the distance, in pixels.
    """

    horizon: float
    centre: float
    height: float
    focal: float
    bend: float

    def scale(self, away: float) -> float:
        """Return the number of pixels per metre at a distance."""
        return self.focal / away

    def point(self, right: float, up: float, away: float) -> Point:
        """Project a point to pixels."""
        scale = self.focal / away
        swing = self.bend * (1 - min(1.0, 4.0 / away)) ** 2
        return self.centre + right * scale + swing, self.horizon + (self.height - up) * scale


class Canvas:
    """An RGB image with labels, materials, and the lamps to light at night."""

    def __init__(self, height: int, width: int) -> None:
        self.image = np.zeros((height, width, 3), np.uint8)
        self.mask = np.full((height, width), VOID, np.uint8)
        self.material = np.zeros((height, width), np.uint8)
        self.lamps: list[tuple[Point, float, Colour]] = []

    def polygon(
        self, corners: Sequence[Point], colour: Colour, label: int | None = None, material: int | None = None
    ) -> None:
        """Fill a convex polygon; without a label, such as paint on a road, the labels below it remain."""
        shape = (np.array(corners) * (1 << _EIGHTHS)).astype(np.int32)
        for plane, value in ((self.image, colour), (self.mask, label), (self.material, material)):
            if value is not None:
                cv2.fillConvexPoly(plane, shape, value, cv2.LINE_8, _EIGHTHS)

    def paint(self, shapes: Sequence[Sequence[Point]], colour: Colour, material: int | None = None) -> None:
        """Paint polygons that do not overlap; the labels below them remain."""
        if not shapes:
            return
        whole = list((np.array(shapes) * (1 << _EIGHTHS)).astype(np.int32))
        cv2.fillPoly(self.image, whole, colour, cv2.LINE_8, _EIGHTHS)
        if material is not None:
            cv2.fillPoly(self.material, whole, material, cv2.LINE_8, _EIGHTHS)

    def box(
        self,
        corner: Point,
        width: float,
        height: float,
        colour: Colour,
        label: int | None = None,
        material: int = 0,
    ) -> None:
        """Fill an upright rectangle from its top left corner; at least one pixel wide and high."""
        x, y = round(corner[0]), round(corner[1])
        right, bottom = x + max(0, round(width) - 1), y + max(0, round(height) - 1)
        for plane, value in ((self.image, colour), (self.mask, label), (self.material, material)):
            if value is not None:
                cv2.rectangle(plane, (x, y), (right, bottom), value, cv2.FILLED)

    def ellipse(
        self,
        centre: Point,
        across: float,
        down: float,
        colour: Colour,
        label: int | None = None,
        material: int = 0,
    ) -> None:
        """Fill an upright ellipse of the given radii; at least one pixel."""
        at, radii = (round(centre[0]), round(centre[1])), (max(0, round(across)), max(0, round(down)))
        for plane, value in ((self.image, colour), (self.mask, label), (self.material, material)):
            if value is not None:
                cv2.ellipse(plane, at, radii, 0, 0, 360, value, cv2.FILLED)

    def shade(self, corners: Sequence[Point], factor: float) -> None:
        """Darken a polygon by a factor, such as a shadow."""
        shape = np.array(corners).astype(np.int32)
        height, width = self.mask.shape
        left, top = np.maximum(shape.min(0), 0)
        right, bottom = np.minimum(shape.max(0) + 1, (width, height))
        if left >= right or top >= bottom:
            return
        part = self.image[top:bottom, left:right]
        area = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(area, [shape - (left, top)], 1)
        cv2.copyTo(cv2.convertScaleAbs(part, alpha=factor), area, part)
