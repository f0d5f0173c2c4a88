"""Where and with what a benchmark ran: the columns that every results table carries."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

__all__ = ["RESULTS", "default_device", "provenance"]

RESULTS = Path(__file__).parent / "results"


def default_device() -> str:
    """What a benchmark trains on: the device that `provenance` names."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def provenance(*packages: str) -> dict[str, str]:
    """Machine, device, versions of Python and of the packages, date and commit."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    return {
        "machine": platform.machine(),
        "device": device,
        "versions": ", ".join([f"python {platform.python_version()}", *versions]),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "commit": _commit(),
    }


def _commit() -> str:
    here = Path(__file__).parent
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=here, capture_output=True)
    return (asked.stdout.strip() or "unknown") + ("+changes" if changed.returncode else "")
