"""Write the page of nas-doctor: findings, classes, and a contact sheet of images with their masks as overlays."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from nas.errors import UserError
from nas.files import replacing
from nas.tasks.data.doctor.examined import Examined
from nas.tasks.data.doctor.finding import Finding
from nas.tasks.data.doctor.text import class_rows
from nas.tasks.data.files import read_image
from nas.tasks.data.masks import read_mask
from nas.tasks.data.palettes import Colour

__all__ = ["Picture", "contact_sheet", "write_page"]

MOST_SHOWN = 24
"""Largest number of images on the contact sheet."""

SIDE = 480
"""Longest side of an image, and of the overlay beside it, in pixels."""

Draw = Callable[[np.ndarray, np.ndarray, Sequence[Colour]], np.ndarray]
"""From an image H x W x 3, class indices H x W and a palette to an overlay H x W x 3."""


@dataclass(frozen=True)
class Picture:
    """An image beside its overlay, RGB H x W x 3, and a note for its caption."""

    name: str
    pixels: np.ndarray
    note: str = ""

    @property
    def jpeg(self) -> str:
        """The picture as JPEG in base64."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=85)
        return base64.b64encode(buffer.getvalue()).decode()


def write_page(
    examined: Examined, found: Sequence[Finding], facts: Sequence[tuple[str, str]], command: str, out: Path, draw: Draw
) -> Path:
    """Write `out/doctor.html` and the pictures of its contact sheet, `out/overlays/*.png`; return the path of the page.

    Raises:
        OSError: the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pictures = contact_sheet(examined, draw)
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        name = picture.name.replace("/", "_")
        Image.fromarray(picture.pixels).save(out / "overlays" / f"{name}.png")
    # Names of classes and files come from the user and are escaped.
    loader = PackageLoader("nas.tasks.data.doctor")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("doctor.html")
    splits, rows = class_rows(examined)
    text = page.render(
        title=f"Data set {examined.members.spec}",
        facts=facts,
        findings=found,
        splits=splits,
        rows=rows,
        pictures=pictures,
        command=command,
    )
    path = out / "doctor.html"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def contact_sheet(examined: Examined, draw: Draw, most: int = MOST_SHOWN) -> list[Picture]:
    """Draw images with their masks, spread evenly over the data set, without those that cannot be read."""
    names = [name for name, facts in examined.masks.items() if facts.error is None and name in examined.readable]
    chosen = [
        names[place] for place in sorted({round(at) for at in np.linspace(0, len(names) - 1, min(most, len(names)))})
    ]
    return [picture for picture in (_picture(examined, name, draw) for name in chosen) if picture is not None]


def _picture(examined: Examined, name: str, draw: Draw) -> Picture | None:
    item = examined.members.items.get(name)
    path, code = examined.masks[name].path, examined.members.code
    try:
        image = item.image() if item is not None else read_image(examined.images[name].path)
    except UserError:
        return None
    if code is None:
        return Picture(name, _fitted(image), "the meaning of its mask is unknown")
    try:
        # Only an item knows whether to apply the EXIF orientation of the photo to the mask.
        classes = item.mask() if item is not None else read_mask(path, code)
    except UserError as error:
        return Picture(name, _fitted(image), str(error))
    if classes.shape != image.shape[:2]:
        return Picture(name, _fitted(image), "its mask has another size")
    split = next((split for split, names in examined.splits.items() if name in names), "")
    shown = draw(image, classes, examined.members.palette)
    return Picture(name, np.concatenate([_fitted(image), _fitted(shown)], axis=1), split)


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Shrink an image to at most `SIDE` pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
