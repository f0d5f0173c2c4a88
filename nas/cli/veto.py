"""Pixels that the veto of a checkpoint changed on a split, counted and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from nas.export import Checkpoint
    from nas.tasks.data.sets import ImageSet
    from nas.tasks.methods.veto import VetoCounts

__all__ = ["count_vetoes", "veto_table"]


def count_vetoes(checkpoint: Checkpoint, images: ImageSet, device: torch.device) -> VetoCounts | None:
    """Count the pixels that the checkpoint's veto changed, or return None where it has no veto."""
    import torch

    from nas.tasks.methods.veto import VetoCounts, Vetoed
    from nas.training.compute import predicted_classes
    from nas.training.evaluate import in_batches
    from nas.training.images import Images

    network = checkpoint.network
    if not isinstance(network, Vetoed) or not network.threshold:
        return None
    network.to(device)
    counts = VetoCounts.none(len(checkpoint.classes))
    with torch.no_grad():
        for pixels, masks in in_batches(Images(images, device)):
            counts.add(predicted_classes(network.segment(pixels)), masks, network.permitted(pixels))
    return counts


def veto_table(classes: Sequence[str], counts: VetoCounts | None) -> str:
    """Format how often each class was vetoed and the pixels that changed, at most 80 columns wide.

    Classes that were never vetoed are left out. If no class was vetoed, or there is no veto (None), return one line.
    """
    if counts is None:
        return "no veto: the checkpoint has no trained classification branch (MLMT, Fusion)"
    columns = (counts.images.tolist(), counts.wrong.tolist(), counts.right.tolist())
    rows = [row for row in zip(classes, *columns, strict=True) if row[1]]
    if not rows:
        return "the veto removed no class from any image"
    wide = min(max(len("vetoed class"), *(len(row[0]) for row in rows)), 80 - 44)
    rows.append(("all", sum(columns[0]), sum(columns[1]), sum(columns[2])))
    lines = [f"{name[:wide]:<{wide}}  {n:>8,}  {wrong:>16,}  {right:>14,}" for name, n, wrong, right in rows]
    rule = "-" * (wide + 44)
    head = f"{'vetoed class':<{wide}}  {'images':>8}  {'false px removed':>16}  {'true px lost':>14}"
    return "\n".join([head, rule, *lines[:-1], rule, lines[-1]])
