"""Files of a pretrained encoder, which `weights=` of an encoder in a space takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from nas.files import replacing
from nas.models import EncoderNet

__all__ = ["ENCODER_MARK", "save_encoder"]

ENCODER_MARK = "fewlabel_nas_encoder"
"""The only metadata key of these files. safetensors orders several keys at random, so files would never be the same."""


def save_encoder(path: Path, encoder: EncoderNet, about: Mapping[str, Any]) -> None:
    """Write an encoder's weights to a file, atomically, with the names that they have in a checkpoint.

    Args:
        path: the file.
        encoder: the trained encoder.
        about: facts to record, JSON-ready.

    Raises:
        OSError: the file cannot be written.
    """
    state = {
        f"encoder.{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in encoder.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(state, temporary, {ENCODER_MARK: json.dumps(about, sort_keys=True)})
