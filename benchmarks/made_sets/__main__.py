"""Write a made set as folders: images/ and masks/ of the labelled ones, unlabelled/ for the others.

    python -m benchmarks.made_sets blobs PATH --images 110 --masks 12 --size 256x320 --holdout 80

PATH-holdout gets images of the same kind with all their masks, to see what a network is worth.
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
    """Draw images into a folder; the first so many have masks, with 0 and 255 where there are two classes.

    Raises:
        UserError: the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: give a folder that is not there yet")
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
    """Parse and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MAKERS)
    parser.add_argument("path", type=Path, help="a folder that is not there yet")
    parser.add_argument("--images", type=at_least(1), default=110)
    parser.add_argument("--masks", type=at_least(1), help="how many of them have a mask  [all]")
    parser.add_argument("--size", type=size, help="HxW  [the set's own]")
    parser.add_argument("--holdout", type=at_least(0), default=0, help="images for PATH-holdout  [none]")
    parser.add_argument("--seed", type=at_least(0), default=0)
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
