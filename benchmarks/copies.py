"""Which copies of an image are found, and how well do perceptual hashes separate them from other images?

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
from benchmarks.common.provenance import RESULTS
from benchmarks.made_sets import MAKERS, make
from nas.tasks.data import Item, open_source
from nas.tasks.data.copies import MOST_BITS, find_copies
from nas.tasks.data.items import FileItem
from nas.tasks.data.parallel import progress_bar
from nas.tasks.data.thumbnails import make_thumbnails

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
    "cropped by 2 %": lambda image: encoded(image.crop(_inner_box(image)), "JPEG", 90),
}

INTRODUCTION = f"""\
# Which copies of an image are found?

Hamming distance of the perceptual hashes of an image and its modified copies (99th percentile over all images and
modifications except the crop), and the smallest distance between two different images. Frames of the same film are not
compared. A pair is a candidate for a copy if its 256-bit `phash` differs in up to {MOST_BITS} bits.
"""


def encoded(image: Image.Image, kind: str, quality: int = 75) -> bytes:
    """Encode an image as a file of a format."""
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return file.getvalue()


def resized(image: Image.Image, factor: float) -> Image.Image:
    """Resize an image by a factor."""
    width, height = (round(factor * side) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _inner_box(image: Image.Image) -> tuple[int, int, int, int]:
    (width, height), (left, top) = image.size, (round(0.02 * side) for side in image.size)
    return left, top, width - left, height - top


def sets(count: int, camvid: Path | None) -> Iterator[tuple[str, list[Image.Image], list[str | None]]]:
    """Yield the name of each set, its images, and the film of each image."""
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


def file_thumbnails(files: Sequence[bytes], folder: Path) -> np.ndarray:
    """Compute the thumbnails of files as the data loader does."""
    items = [FileItem(str(number), folder / str(number)) for number in range(len(files))]
    for item, file in zip(items, files, strict=True):
        item.image_path.write_bytes(file)
    with progress_bar(len(items), "thumbnails", False) as bar:
        return make_thumbnails(items, bar)


def measure(images: Sequence[Image.Image], films: Sequence[str | None], folder: Path) -> tuple[list[str], list[str]]:
    """Measure a set.

    Returns:
        The cells of both tables: distances by hash; number of false positives and recall by modification.
    """
    originals = file_thumbnails([encoded(image, "PNG") for image in images], folder)
    copies = {name: file_thumbnails([change(image) for image in images], folder) for name, change in CHANGES.items()}
    count = len(images)
    unrelated = np.array([[one is None or one != other for other in films] for one in films])
    unrelated &= ~np.eye(count, dtype=bool)
    distances = []
    for perceptual_hash in HASHES.values():
        bits = _hash_bits(originals, perceptual_hash)
        of_copies = [
            (bits != _hash_bits(changed, perceptual_hash)).sum(1)
            for name, changed in copies.items()
            if "cropped" not in name
        ]
        of_others = (bits[:, None] != bits).sum(-1)[unrelated]
        distances.append(f"{np.quantile(of_copies, 0.99):.0f}, {of_others.min()}")
    false_positives = sum(bool(unrelated[pair]) for pair in find_copies(originals))
    recalls = [_recall(originals, changed) for changed in copies.values()]
    return distances, [str(false_positives), *(f"{recall:.2f}" for recall in recalls)]


def _hash_bits(images: np.ndarray, perceptual_hash: Callable[[Image.Image], imagehash.ImageHash]) -> np.ndarray:
    return np.array([perceptual_hash(Image.fromarray(image)).hash.ravel() for image in images])


def _recall(originals: np.ndarray, copies: np.ndarray) -> float:
    pairs = set(find_copies(np.concatenate([originals, copies])))
    return float(np.mean([(i, len(originals) + i) in pairs for i in range(len(originals))]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(2), default=200, help="number of images of each set  [200]")
    parser.add_argument("--camvid", type=Path, help="folder of CamVid  [without CamVid]")
    parser.add_argument("--out", type=Path, default=RESULTS / "copies.md", help="Markdown file to write")
    options = parser.parse_args(arguments)
    distances, recalls = [], []
    for name, images, films in sets(options.images, options.camvid):
        print(name, flush=True)
        with TemporaryDirectory() as folder:
            by_hash, by_change = measure(images, films, Path(folder))
        distances.append([name, *by_hash])
        recalls.append([name, *by_change])
    text = INTRODUCTION + "\n" + table(["set (copies, others)", *HASHES], distances)
    text += "\nPairs of different images that are taken for copies, and the share of copies found, by modification.\n\n"
    options.out.write_text(text + table(["set", "wrong", *CHANGES], recalls))


if __name__ == "__main__":
    main()
