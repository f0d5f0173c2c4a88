"""Write a synthetic data set as a folder: images/ and masks/ of labelled images, unlabelled/ of the others.

    python -m benchmarks.made_sets blobs PATH --images 110 --masks 12 --size 256x320 --holdout 80

PATH-holdout gets more images of the same data set, all with masks, to evaluate networks on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common.arguments import at_least
from benchmarks.common.sizes import height_and_width, size
from benchmarks.made_sets import HELD_OUT, MAKERS, make
from nas.errors import UserError


def write(name: str, folder: Path, numbers: range, masks: int, size: tuple[int, int] | None, seed: int) -> None:
    """Write images to a folder. Masks of two classes have the values 0 and 255.

    Args:
        name: one of MAKERS.
        folder: an empty or new folder.
        numbers: numbers of the images.
        masks: number of images with a mask, the first ones.
        size: (height, width); None for the default.
        seed: seed of the data set.

    Raises:
        UserError: if the folder is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: give a new folder")
    for part in ("images", "masks", *(("unlabelled",) if masks < len(numbers) else ())):
        (folder / part).mkdir(parents=True)
    classes = MAKERS[name].classes
    for count, number in enumerate(numbers):
        drawn = make(name, range(number, number + 1), size, seed)
        image, file = drawn.images[0], f"{drawn.names[0]}.png"
        _save(folder / ("images" if count < masks else "unlabelled") / file, image[..., ::-1])
        if count < masks and drawn.masks is not None:
            _save(folder / "masks" / file, drawn.masks[0] * (255 if len(classes) == 2 else 1))
    if len(classes) > 2:
        (folder / "classes.json").write_text(json.dumps(classes, indent=1) + "\n")


def _save(file: Path, pixels: np.ndarray) -> None:
    file.write_bytes(cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MAKERS, help="data set")
    parser.add_argument("path", type=Path, help="new folder")
    parser.add_argument("--images", type=at_least(1), default=110, help="number of images  [110]")
    parser.add_argument("--masks", type=at_least(1), help="number of images with a mask  [all]")
    parser.add_argument("--size", type=size, help="HxW  [that of the data set]")
    parser.add_argument("--holdout", type=at_least(0), default=0, help="number of images in PATH-holdout  [0]")
    parser.add_argument("--seed", type=at_least(0), default=0, help="seed of the data set  [0]")
    options = parser.parse_args(arguments)
    shape = height_and_width(options.size) if options.size else None
    masks = options.images if options.masks is None else options.masks
    if masks > options.images:
        parser.error(f"--masks {masks}: there are {options.images} images")
    try:
        write(options.name, options.path, range(options.images), masks, shape, options.seed)
        if options.holdout:
            apart = options.path.with_name(f"{options.path.name}-holdout")
            numbers = range(HELD_OUT, HELD_OUT + options.holdout)
            write(options.name, apart, numbers, options.holdout, shape, options.seed)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
