"""Checkpoints, exports to ONNX and torch.export, model cards and predictions."""

from nas.export.card import model_card
from nas.export.checkpoint import (
    BEST,
    Checkpoint,
    find_checkpoint,
    load,
    load_checkpoint,
    save_checkpoint,
)
from nas.export.convert import FORMATS, Exported, export
from nas.export.encoder_file import save_encoder
from nas.export.legend import legend, with_legend
from nas.export.overlays import background_classes, colour_map, overlay
from nas.export.predict import Predictor, predictor
from nas.export.preprocessing import Preprocessing
from nas.export.windows import WindowPredictor

__all__ = [
    "BEST",
    "FORMATS",
    "Checkpoint",
    "Exported",
    "Predictor",
    "Preprocessing",
    "WindowPredictor",
    "background_classes",
    "colour_map",
    "export",
    "find_checkpoint",
    "legend",
    "load",
    "load_checkpoint",
    "model_card",
    "overlay",
    "predictor",
    "save_checkpoint",
    "save_encoder",
    "with_legend",
]
