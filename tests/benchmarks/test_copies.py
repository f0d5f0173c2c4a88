"""benchmarks.copies: distances, false positives and recalls."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.copies import CHANGES, HASHES, measure, table
from benchmarks.made_sets import make


def test_measure_of_a_set_with_a_repeated_image(tmp_path: Path) -> None:
    images = [Image.fromarray(image) for image in make("shapes", range(3), (48, 64)).images]
    bits, found = measure([*images, images[0]], [None] * 4, tmp_path)
    # One image is repeated, so the smallest distance is 0.
    assert len(bits) == len(HASHES) and all(cell.endswith(", 0") for cell in bits)
    assert found[0] == "1" and len(found) == 1 + len(CHANGES)
    assert dict(zip(CHANGES, found[1:], strict=True))["brightness 0.7"] == "1.00"
    # Frames of the same film are not compared.
    assert measure([*images, images[0]], ["film", None, None, "film"], tmp_path)[1][0] == "0"


def test_tables_are_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
