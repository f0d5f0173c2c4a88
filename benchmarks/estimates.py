"""How accurate is a search's estimate of its time? Five different searches, expected and actual seconds.

python -m benchmarks.estimates
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nas
from benchmarks.common.provenance import RESULTS, provenance
from benchmarks.made_sets.__main__ import write
from nas.controller.search import TIMES

__all__ = ["SEARCHES", "main"]

SEARCHES: dict[str, dict[str, Any]] = {
    "one recipe": {"space": "unet.py", "size": (48, 64), "steps": 240},
    "everything": {"space": "multitask.py", "budget": 10, "size": (32, 48), "steps": 90, "repeats": 2},
    "methods": {"space": "semi_supervised.py", "budget": 12, "size": (32, 48), "steps": 90, "repeats": 2},
    "no early stopping": {"space": "architectures.py", "budget": 6, "size": (32, 48), "steps": 60, "stopping": "none"},
    "folds": {"space": "multitask.py", "budget": 6, "size": (48, 64), "steps": 90, "repeats": 2, "data": "blobs"},
}
"""Settings of each search; `blobs` stands for 12 labelled images of `benchmarks.made_sets`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the searches one after another, print and write the ratios of actual to expected time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "estimates.csv", help="CSV file to write")
    out = parser.parse_args(arguments).out.absolute()
    here = Path.cwd()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write("blobs", Path(folder) / "blobs", range(30), 12, None, 0)
        os.chdir(folder)
        try:
            for name, settings in SEARCHES.items():
                data = f"folder:{folder}/blobs" if settings.get("data") == "blobs" else "scenes"
                run = nas.search(**{**settings, "data": data})
                times = run.study().user_attrs[TIMES]
                ratio = times["taken"] / times["expected"]
                rows.append({"search": name, **{k: round(v, 1) for k, v in times.items()}, "ratio": round(ratio, 2)})
                print(f"{name:20} expected {times['expected']:6.0f} s, took {times['taken']:6.0f} s, ratio {ratio:.2f}")
        finally:
            os.chdir(here)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *provenance()])
        writer.writeheader()
        writer.writerows({**row, **provenance()} for row in rows)


if __name__ == "__main__":
    main()
