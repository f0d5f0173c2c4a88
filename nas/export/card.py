"""Model card: the page that goes with an exported network."""

from __future__ import annotations

from typing import Any

from nas.export.checkpoint import Checkpoint
from nas.space import field_values
from nas.space.describe import text

__all__ = ["model_card"]


def model_card(checkpoint: Checkpoint, file: str, format: str) -> str:
    """Markdown on what the network does, what it learnt from, how well it does, and how to load `file`."""
    params = sum(p.numel() for p in checkpoint.network.parameters())
    height, width = checkpoint.size
    sections = {
        f"# {file}": (
            f"Semantic segmentation of RGB images into {len(checkpoint.classes)} classes "
            f"({params / 1e6:.2f} M parameters), found by neural architecture search with few labels."
        ),
        "## Classes": _table(
            ["index", "class", "colour"],
            [
                [i, name, "#%02x%02x%02x" % colour]  # noqa: UP031 (shorter for hexadecimals)
                for i, (name, colour) in enumerate(zip(checkpoint.classes, checkpoint.palette, strict=True))
            ],
        ),
        "## Data and origin": _table(["what", "value"], _flat(checkpoint.provenance)),
        "## Metrics": _table(["metric", "value"], _flat(checkpoint.metrics)),
        "## Recipe": _table(
            ["part", "value"], [[name, f"`{text(v)}`"] for name, v in field_values(checkpoint.candidate)]
        ),
        "## Intended use and limits": _limits(height, width, _chosen(checkpoint)),
        "## How to load": _loading(file, format, height, width),
    }
    return "\n\n".join(f"{title}\n\n{body}" for title, body in sections.items()) + "\n"


def _chosen(checkpoint: Checkpoint) -> bool:
    """Whether a validation split chose the network."""
    data = checkpoint.provenance.get("data")
    return not isinstance(data, dict) or bool(data.get("holdout", True))


def _limits(height: int, width: int, chosen: bool) -> str:
    flattered = (
        "The validation score chose this network among many, so it flatters it; trust a test score more. "
        if chosen
        else "Nothing was held out for validation: that score is of the test images. "
    )
    return (
        f"For images like those it was trained on, at {height} x {width} pixels (height x width). It was "
        "trained on few labels: expect it to be weaker on scenes, cameras, weather and scales that the data "
        f"did not show, and on rare classes. {flattered}Not for decisions about safety without a test on data of "
        "your own."
    )


def _loading(file: str, format: str, height: int, width: int) -> str:
    python = {
        "safetensors": f'import nas\n\nmodel = nas.load("{file}")  # images N x 3 x H x W of any size',
        "onnx": (
            "import onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{file}")\n'
            f'(logits,) = session.run(None, {{"images": images}})  # float32 N x 3 x {height} x {width}'
        ),
        "pt2": (f'import torch\n\nmodel = torch.export.load("{file}").module()  # images N x 3 x {height} x {width}'),
    }[format]
    return (
        f"```python\n{python}\n```\n\n"
        "Images are RGB, float32 in [0, 1]; they are normalised inside. Logits are N x classes x H x W; "
        "their argmax over dimension 1 is the class index."
    )


def _flat(values: dict[str, Any], prefix: str = "") -> list[list[Any]]:
    """Nested values as rows of dotted name and value."""
    rows: list[list[Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append([prefix + name, f"{value:.4f}" if isinstance(value, float) else value])
    return rows


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return "Not recorded."
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
