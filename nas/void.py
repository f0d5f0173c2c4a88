"""The mask value of pixels without a label, shared by the data and the training."""

from __future__ import annotations

__all__ = ["VOID"]

VOID = 255
"""Ignore index: pixels with this value have no label and count in no loss and no metric."""
