"""How fast is nas-doctor? Its time on 1,000 photos of 480 x 360 with masks.

python -m benchmarks.doctor_speed jpg
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, SIZE = 1000, (480, 360)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the set, examine it twice in a new process, and print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", nargs="?", choices=["jpg", "png"], default="jpg", help="format of the photos  [jpg]")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), options.format)
        code = f"from nas.tasks.data.doctor import examine, findings; findings(examine('folder:{folder}'))"
        cpu = cpu_seconds()
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            wall, before = time.perf_counter() - started, cpu
            cpu = cpu_seconds()
            print(f"{COUNT} {options.format} of {SIZE[0]}x{SIZE[1]}: {wall:.1f} s, {cpu - before:.1f} s of CPU time")


def cpu_seconds() -> float:
    """Return the CPU time of all child processes so far, over all cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def draw(root: Path, suffix: str) -> None:
    """Draw photos of smooth shapes with grain, and masks with five classes."""
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        shapes = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
        grain = rng.integers(-12, 13, (SIZE[1], SIZE[0], 1))
        photo = np.clip(np.asarray(shapes, np.int16) + grain, 0, 255).astype(np.uint8)
        name = f"{chr(97 + number // 100)}{chr(97 + number // 10 % 10)}{chr(97 + number % 10)}"
        Image.fromarray(photo).save(root / "images" / f"{name}.{suffix}")
        mask = Image.fromarray(rng.integers(0, 5, (9, 12), np.uint8)).resize(SIZE, Image.Resampling.NEAREST)
        mask.save(root / "masks" / f"{name}.png")


if __name__ == "__main__":
    main()
