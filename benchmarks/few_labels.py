"""Is the winner of a search better than a standard U-Net? Both on 46 labelled driving scenes.

The peer is segmentation-models-pytorch's U-Net with a ResNet-18 encoder from scratch, in a standard training loop: Adam
1e-3, polynomial schedule, flip and scale-crop, batches of 8, 40 epochs. The winner's recipe is then trained for as many
seconds. Both are scored on the official test split, with the same seeds, in one run. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from benchmarks.common.arguments import at_least
from benchmarks.common.provenance import RESULTS, default_device, provenance
from benchmarks.common.sizes import height_and_width, size
from nas.errors import UserError
from nas.export import load_checkpoint
from nas.space import Recipe
from nas.tasks.data import FewLabelData, ImageSet, load_data
from nas.training import VOID, Confusion, Plan, evaluate, train

DEVICE = torch.device(default_device())
BATCH = 8

TOLERANCE = 0.03
"""Maximum relative difference of the two training times."""


def flip_scale_crop(images: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
    """Augment a batch: horizontal flip with probability 0.5, zoom by 0.5 to 2, then crop or padding."""
    import cv2

    height, width = images.shape[1:3]
    views, labels = [], []
    for image, mask in zip(images, masks, strict=True):
        if rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        zoom = float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
        h, w = max(round(height * zoom), 1), max(round(width * zoom), 1)
        image = cv2.resize(np.ascontiguousarray(image), (w, h), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(np.ascontiguousarray(mask), (w, h), interpolation=cv2.INTER_NEAREST)
        down, right = max(height - h, 0), max(width - w, 0)
        image = np.pad(image, ((0, down), (0, right), (0, 0)))
        mask = np.pad(mask, ((0, down), (0, right)), constant_values=VOID)
        top, left = rng.integers(0, max(h - height, 0) + 1), rng.integers(0, max(w - width, 0) + 1)
        views.append(image[top : top + height, left : left + width])
        labels.append(mask[top : top + height, left : left + width])
    pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float().div_(255)
    return normalised(pixels), torch.from_numpy(np.stack(labels)).long()


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Normalize with ImageNet's mean and standard deviation, as usual for the peer."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def train_peer(data: FewLabelData, seed: int, epochs: int) -> tuple[torch.nn.Module, float]:
    """Train the peer; return the network and its training seconds."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = smp.Unet("resnet18", encoder_weights=None, classes=len(data.classes)).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    count = len(data.labelled)
    batches = -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=epochs * batches, power=0.9)
    assert data.labelled.masks is not None
    started = time.perf_counter()
    network.train()
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(count), batches):
            images, masks = flip_scale_crop(data.labelled.images[chosen], data.labelled.masks[chosen], rng)
            loss = F.cross_entropy(network(images.to(DEVICE)), masks.to(DEVICE), ignore_index=VOID)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network, time.perf_counter() - started


@torch.no_grad()
def score_peer(network: torch.nn.Module, split: ImageSet, classes: int) -> float:
    """Compute the peer's mIoU on a split, with the same confusion matrix as for the winner."""
    network.eval()
    confusion = Confusion(classes)
    assert split.masks is not None
    for start in range(0, len(split), 16):
        pixels = torch.from_numpy(np.array(split.images[start : start + 16])).permute(0, 3, 1, 2).float().div_(255)
        prediction = network(normalised(pixels).to(DEVICE)).argmax(1).cpu()
        confusion.add(prediction, torch.from_numpy(np.array(split.masks[start : start + 16])))
    return confusion.scores().miou


def train_winner(recipe: Recipe, data: FewLabelData, seed: int, seconds: float) -> tuple[torch.nn.Module, float, int]:
    """Train the winner for a given time; return the network, its training seconds and steps."""
    one_image = replace(data, validation=first_images(data.validation, 1))
    # The first steps are slow, since buffers are allocated, so the time per step is a difference of two trainings.
    few, many = 20, 140
    took = {n: n * train(recipe, one_image, Plan(n, (n,), seed, DEVICE.type)).step_seconds for n in (few, few, many)}
    step_seconds = (took[many] - took[few]) / (many - few)
    steps = max(few + int((seconds - took[few]) / step_seconds), 1)
    for _ in range(3):
        trained = train(recipe, one_image, Plan(steps, (steps,), seed, DEVICE.type))
        duration = trained.step_seconds * steps
        # The estimate from short trainings is off by up to a tenth; that from a whole training is good.
        if abs(duration / seconds - 1.0) < TOLERANCE:
            break
        steps = max(int(steps * seconds / duration), 1)
    else:
        print(f"seed {seed}: three trainings differ by more than {TOLERANCE:.0%} from {seconds:.0f} s", flush=True)
    return trained.network, duration, trained.steps


def first_images(split: ImageSet, count: int) -> ImageSet:
    """Return the first images of a split: the trainer's final evaluation is not training time."""
    assert split.masks is not None
    return ImageSet(split.images[:count], split.masks[:count], split.names[:count])


def measure(recipe: Recipe, data: FewLabelData, seed: int, epochs: int) -> list[dict[str, Any]]:
    """Train and score both; return a row for the peer and one for the winner."""
    classes = len(data.classes)
    peer, seconds = train_peer(data, seed, epochs)
    row = {
        "method": "smp U-Net ResNet-18",
        "seed": seed,
        "seconds": seconds,
        "steps": epochs * -(-len(data.labelled) // BATCH),
    }
    row |= {"search_val": score_peer(peer, data.validation, classes), "test": score_peer(peer, data.test, classes)}
    winner, duration, steps = train_winner(recipe, data, seed, seconds)
    winner_row = {"method": "searched winner", "seed": seed, "seconds": duration, "steps": steps}
    for name, split in (("search_val", data.validation), ("test", data.test)):
        winner_row[name] = evaluate(winner, split, classes, DEVICE).miou  # type: ignore[arg-type]
    return [row, winner_row]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("winner", type=Path, help="folder of a run, or its best.safetensors")
    parser.add_argument("--data", required=True, help="camvid:PATH")
    parser.add_argument("--labels", default="1/8", help="share or number of labels  [1/8]")
    parser.add_argument("--size", type=size, default="96x128", help="HxW")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="number of seeds  [3]")
    parser.add_argument("--epochs", type=at_least(1), default=40, help="epochs of the peer  [40]")
    parser.add_argument("--out", type=Path, default=RESULTS / "few_labels.csv", help="CSV file to write")
    options = parser.parse_args(arguments)
    try:
        recipe = load_checkpoint(options.winner).candidate
        data = load_data(options.data, labels=options.labels, size=height_and_width(options.size))
    except UserError as error:
        parser.error(str(error))
    rows = []
    for seed in range(options.seeds):
        rows += measure(recipe, data, seed, options.epochs)
        for row in rows[-2:]:
            scores = f"search-val {row['search_val']:.3f}  test {row['test']:.3f}"
            print(
                f"{row['method']:20s} seed {seed}  {scores}  {row['steps']} steps  {row['seconds']:.0f} s", flush=True
            )
    about = provenance("torch", "segmentation-models-pytorch", "fewlabel-nas")
    table = pd.DataFrame(rows).assign(
        data=options.data.split(":")[0], labels=options.labels, size=options.size, **about
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out, index=False, float_format="%.4f")
    peer, winner = (statistics.fmean(r["test"] for r in rows[i::2]) for i in (0, 1))
    print(f"test mIoU, mean of {options.seeds} seeds: peer {peer:.3f}, winner {winner:.3f}: {winner / peer:.2f} times")


if __name__ == "__main__":
    main()
