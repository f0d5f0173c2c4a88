"""How long nas-doctor looks at 1,000 photos of 480 x 360 with masks: python -m benchmarks.doctor_speed [jpg|png]."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

COUNT, SIZE = 1000, (480, 360)


def main() -> None:
    """Draw the set, examine it twice as a process of its own, and print the seconds."""
    suffix = sys.argv[1] if len(sys.argv) > 1 else "jpg"
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), suffix)
        code = f"from nas.tasks.data.doctor import examine, findings; findings(examine('folder:{folder}'))"
        cpu = cpu_seconds()
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            wall, before = time.perf_counter() - started, cpu
            cpu = cpu_seconds()
            print(f"{COUNT} {suffix} of {SIZE[0]}x{SIZE[1]}: {wall:.1f} s, {cpu - before:.1f} s of CPU time")


def cpu_seconds() -> float:
    """What the processes started so far have used of all cores together."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def draw(root: Path, suffix: str) -> None:
    """Photos of soft shapes with grain, and masks of five classes."""
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
