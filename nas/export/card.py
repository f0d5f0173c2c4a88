"""Model card of an exported network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nas.export.checkpoint import Checkpoint
from nas.export.preprocessing import Preprocessing
from nas.space import field_values
from nas.space.describe import text

if TYPE_CHECKING:
    from nas.tasks.data.depth import PixelScale

__all__ = ["model_card"]


def model_card(checkpoint: Checkpoint, file: str, format: str) -> str:
    """Write a model card in Markdown: task, classes, data, metrics, recipe, limits, and code to predict with `file`."""
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
        "## Intended use and limits": _limits(height, width, _selected_by_validation(checkpoint)),
        "## How to predict": _usage(file, format, checkpoint.preprocessing),
    }
    return "\n\n".join(f"{title}\n\n{body}" for title, body in sections.items()) + "\n"


def _selected_by_validation(checkpoint: Checkpoint) -> bool:
    """Whether the network was selected by its score on a validation split."""
    data = checkpoint.provenance.get("data")
    return not isinstance(data, dict) or bool(data.get("holdout", True))


def _limits(height: int, width: int, selected: bool) -> str:
    bias = (
        "This network was selected from many by its validation score, which is therefore optimistic; trust the test "
        "score more. "
        if selected
        else "There was no hold-out for validation: the validation score is that of the test images. "
    )
    return (
        f"For images like those it was trained on, at {height} x {width} pixels (height x width). It was "
        "trained on few labels: expect lower accuracy on rare classes, and on scenes, cameras, weather and scales that "
        f"the data did not contain. {bias}Do not use it for decisions about safety without a test on your own data."
    )


_ENLARGED_BY_TORCH = """\
with torch.no_grad():
    logits = model(torch.from_numpy(pixels))
logits = logits.clamp(min=-1e4)  # finite where a class is vetoed
logits = torch.nn.functional.interpolate(logits, size=(height, width), mode="bilinear")
classes = logits[0].argmax(0).numpy().astype(np.uint8)  # H x W of the photo"""

_LOADED = {
    "safetensors": ("import nas\nimport torch", "model = nas.load({file})"),
    "onnx": ("import onnxruntime", "model = onnxruntime.InferenceSession({file})"),
    "pt2": ("import torch", "model = torch.export.load({file}).module()"),
}

_ENLARGED = {
    "safetensors": _ENLARGED_BY_TORCH,
    "onnx": """\
(logits,) = model.run(None, {"images": pixels})
logits = np.maximum(logits[0], -1e4)  # finite where a class is vetoed
enlarged = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in logits]
classes = np.argmax(enlarged, axis=0).astype(np.uint8)  # H x W of the photo""",
    "pt2": _ENLARGED_BY_TORCH,
}

_READ = 'image = np.asarray(ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB"))'

# Pillow clips colours of more than 8 bits.
_READ_DEEP = """\
image = cv2.imread("photo.jpg", cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)[..., ::-1]
if image.dtype != np.uint8:  # more than 8 bits a channel
    low, high = {ranges}
    image = np.rint(np.clip((image.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)"""

_SQUEEZED = """\
height, width = image.shape[:2]
how = cv2.INTER_AREA if height >= {high} and width >= {wide} else cv2.INTER_LINEAR
small = cv2.resize(image, ({wide}, {high}), interpolation=how)
pixels = small.transpose(2, 0, 1)[None].astype(np.float32) / 255"""


def _usage(file: str, format: str, preprocessing: Preprocessing) -> str:
    """Write code that computes the class map of a photo as nas-predict does, and its description."""
    high, wide = preprocessing.size
    imports, loaded = _LOADED[format]
    read = _reading(preprocessing.scale)
    quoted = json.dumps(file, ensure_ascii=False)
    code = "\n".join(
        [
            "import cv2",
            *sorted([*imports.splitlines(), "import numpy as np"], key=str.lower),
            f"from PIL import {'Image, ImageOps' if read is _READ else 'Image'}",
            "",
            loaded.format(file=quoted),
            read,
            _SQUEEZED.format(high=high, wide=wide),
            _ENLARGED[format],
            'Image.fromarray(classes).save("classes.png")',
        ]
    )
    own = f"`nas.predictor({quoted}).predict(image)` does all of it in one call. " if format == "safetensors" else ""
    return (
        f"```python\n{code}\n```\n\n"
        f"{own}Each photo is resized to {high} x {wide} (height x width), as the training images were. The network "
        "takes RGB as float32 in [0, 1], N x 3 x H x W, and normalizes it. Its logits, N x classes x H x W, are "
        "interpolated bilinearly to the photo's size; each pixel gets the class of its highest logit."
    )


def _reading(scale: PixelScale | None) -> str:
    """Code that reads a photo as in training."""
    if scale is None or (scale.whole is None and scale.real is None):
        return _READ
    if scale.whole is None or scale.real is None:
        return _READ_DEEP.format(ranges=scale.whole or scale.real)
    return _READ_DEEP.format(ranges=f'{scale.real} if image.dtype.kind == "f" else {scale.whole}')


def _flat(values: dict[str, Any], prefix: str = "") -> list[list[Any]]:
    """Flatten nested values to rows of dotted name and value."""
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
