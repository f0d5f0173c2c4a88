"""The doctor's page: findings, classes and a contact sheet of images under their masks, one file and PNGs beside it."""

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

SHOWN = 24
"""Images on the sheet."""

SIDE = 480
"""The longest side of a picture of the sheet, in pixels; the image and its overlay stand side by side."""

Draw = Callable[[np.ndarray, np.ndarray, Sequence[Colour]], np.ndarray]
"""From an image H x W x 3, class indices H x W and a palette to an overlay H x W x 3."""


@dataclass(frozen=True)
class Picture:
    """An image beside its overlay, RGB H x W x 3, and what is to be said of it."""

    name: str
    pixels: np.ndarray
    note: str = ""

    @property
    def jpeg(self) -> str:
        """The picture for a page, in base64."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=85)
        return base64.b64encode(buffer.getvalue()).decode()


def write_page(
    seen: Examined, found: Sequence[Finding], facts: Sequence[tuple[str, str]], command: str, out: Path, draw: Draw
) -> Path:
    """Write `out/doctor.html` and the pictures of its sheet, `out/overlays/*.png`; return the page's path.

    Raises:
        OSError: the folder cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pictures = contact_sheet(seen, draw)
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        name = picture.name.replace("/", "_")
        Image.fromarray(picture.pixels).save(out / "overlays" / f"{name}.png")
    # The file's content is a user's: names of classes and files are escaped.
    loader = PackageLoader("nas.tasks.data.doctor")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("doctor.html")
    splits, rows = class_rows(seen)
    text = page.render(
        title=f"Data set {seen.members.spec}",
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


def contact_sheet(seen: Examined, draw: Draw, most: int = SHOWN) -> list[Picture]:
    """Images under their masks, spread evenly over the set; those that cannot be read are left out."""
    names = [name for name, look in seen.masks.items() if look.fault is None and name in seen.readable]
    chosen = [
        names[place] for place in sorted({round(at) for at in np.linspace(0, len(names) - 1, min(most, len(names)))})
    ]
    return [picture for picture in (_picture(seen, name, draw) for name in chosen) if picture is not None]


def _picture(seen: Examined, name: str, draw: Draw) -> Picture | None:
    item = seen.members.items.get(name)
    path, code = seen.masks[name].path, seen.members.code
    try:
        image = item.image() if item is not None else read_image(seen.images[name].path)
    except UserError:
        return None
    if code is None:
        return Picture(name, _fitted(image), "what its mask means is not known")
    try:
        # An item turns a mask that lies as its photo was before EXIF turned it.
        classes = item.mask() if item is not None else read_mask(path, code)
    except UserError as error:
        return Picture(name, _fitted(image), str(error))
    if classes.shape != image.shape[:2]:
        return Picture(name, _fitted(image), "its mask has another size")
    split = next((split for split, names in seen.splits.items() if name in names), "")
    shown = draw(image, classes, seen.members.palette)
    return Picture(name, np.concatenate([_fitted(image), _fitted(shown)], axis=1), split)


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Pixels of at most `SIDE` a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)
