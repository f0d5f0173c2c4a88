"""Which copies of an image are found, and how well perceptual hashes tell them from other images.

    python -m benchmarks.copies --images 200 --camvid PATH

Writes results/copies.md.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import imagehash
import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.common.arguments import at_least
from benchmarks.made_sets import MAKERS, make
from nas.tasks.data import Item, open_source
from nas.tasks.data.copies import MOST_BITS, find_copies
from nas.tasks.data.items import FileItem
from nas.tasks.data.parallel import progress_bar
from nas.tasks.data.thumbnails import make_thumbnails

OUT = Path(__file__).parent / "results" / "copies.md"

HASHES: dict[str, Callable[[Image.Image], imagehash.ImageHash]] = {
    "phash, 64 bits": lambda image: imagehash.phash(image, 8),
    "phash, 256 bits": lambda image: imagehash.phash(image, 16, 2),
    "dhash, 64 bits": lambda image: imagehash.dhash(image, 8),
    "dhash, 256 bits": lambda image: imagehash.dhash(image, 16),
}

CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 40": lambda image: encoded(image, "JPEG", 40),
    "WebP 50": lambda image: encoded(image, "WEBP", 50),
    "0.9 of the size": lambda image: encoded(resized(image, 0.9), "PNG"),
    "half, JPEG 60": lambda image: encoded(resized(image, 0.5), "JPEG", 60),
    "1.7 times the size": lambda image: encoded(resized(image, 1.7), "PNG"),
    "brightness 0.7": lambda image: encoded(ImageEnhance.Brightness(image).enhance(0.7), "JPEG", 90),
    "brightness 1.1": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1), "JPEG", 90),
    "brightness 1.3": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.3), "JPEG", 90),
    "contrast 1.2": lambda image: encoded(ImageEnhance.Contrast(image).enhance(1.2), "JPEG", 90),
    "gamma 0.8": lambda image: encoded(image.point(lambda grey: 255 * (grey / 255) ** 0.8), "JPEG", 90),
    "cropped by 2 %": lambda image: encoded(image.crop(_inside(image)), "JPEG", 90),
}

INTRODUCTION = f"""\
# Which copies of an image are found?

Bits in which the perceptual hashes of an image and of its changed copies differ (the 99th percentile over all images
and changes but the crop), and the fewest in which those of two different images differ. Frames of one film are left
out. Copies are looked for among pairs that differ in up to {MOST_BITS} bits of the 256 of `phash`.
"""


def encoded(image: Image.Image, kind: str, quality: int = 75) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return file.getvalue()


def resized(image: Image.Image, factor: float) -> Image.Image:
    """The image at another size."""
    width, height = (round(factor * side) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _inside(image: Image.Image) -> tuple[int, int, int, int]:
    (width, height), (left, top) = image.size, (round(0.02 * side) for side in image.size)
    return left, top, width - left, height - top


def sets(count: int, camvid: Path | None) -> Iterator[tuple[str, list[Image.Image], list[str | None]]]:
    """The name of each set, its images, and the film that each is a frame of."""
    for name in MAKERS:
        yield name, [Image.fromarray(image) for image in make(name, range(count)).images], [None] * count
    for kind in ("day", "night"):
        items = open_source(f"scenes:{kind}").pool[:count]
        yield f"scenes, {kind}", _images(items, (120, 160)), [None] * len(items)
    if camvid is not None:
        source = open_source(f"camvid:{camvid}")
        every = (*source.pool, *source.validation, *source.test)
        items = every[:: max(1, len(every) // count)]
        yield "CamVid", _images(items, None), [item.name[:6] for item in items]


def _images(items: Sequence[Item], size: tuple[int, int] | None) -> list[Image.Image]:
    return [Image.fromarray(item.image(size)) for item in items]


def small(files: Sequence[bytes], folder: Path) -> np.ndarray:
    """Thumbnails, as the loader makes them of files."""
    items = [FileItem(str(place), folder / str(place)) for place in range(len(files))]
    for item, file in zip(items, files, strict=True):
        item.image_path.write_bytes(file)
    with progress_bar(len(items), "thumbnails", False) as bar:
        return make_thumbnails(items, bar)


def measure(images: Sequence[Image.Image], films: Sequence[str | None], folder: Path) -> tuple[list[str], list[str]]:
    """Cells of a set: bits by hash, and then how many pairs of others are taken for copies and the shares found."""
    first = small([encoded(image, "PNG") for image in images], folder)
    copies = {name: small([change(image) for image in images], folder) for name, change in CHANGES.items()}
    count = len(images)
    apart = np.array([[one is None or one != other for other in films] for one in films]) & ~np.eye(count, dtype=bool)
    bits = []
    for of in HASHES.values():
        hashes = _bits(first, of)
        changed = [(hashes != _bits(small, of)).sum(1) for name, small in copies.items() if "cropped" not in name]
        others = (hashes[:, None] != hashes).sum(-1)[apart]
        bits.append(f"{np.quantile(changed, 0.99):.0f}, {others.min()}")
    wrong = sum(bool(apart[pair]) for pair in find_copies(first))
    found = [_found(first, small) for small in copies.values()]
    return bits, [str(wrong), *(f"{share:.2f}" for share in found)]


def _bits(pictures: np.ndarray, of: Callable[[Image.Image], imagehash.ImageHash]) -> np.ndarray:
    return np.array([of(Image.fromarray(picture)).hash.ravel() for picture in pictures])


def _found(first: np.ndarray, changed: np.ndarray) -> float:
    pairs = set(find_copies(np.concatenate([first, changed])))
    return float(np.mean([(place, len(first) + place) in pairs for place in range(len(first))]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(2), default=200, help="of each set  [200]")
    parser.add_argument("--camvid", type=Path, help="where CamVid is  [left out]")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    bits, shares = [], []
    for name, images, films in sets(options.images, options.camvid):
        print(name, flush=True)
        with TemporaryDirectory() as folder:
            of_hashes, found = measure(images, films, Path(folder))
        bits.append([name, *of_hashes])
        shares.append([name, *found])
    text = INTRODUCTION + "\n" + table(["set (copies, others)", *HASHES], bits)
    text += "\nDifferent images taken for copies, and the share of copies found, by change.\n\n"
    options.out.write_text(text + table(["set", "wrong", *CHANGES], shares))


if __name__ == "__main__":
    main()
