"""A small data set on disk and a network trained on it, for the commands that need one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command's `main` with what a user would type after its name."""

    def run(main: Callable[[Sequence[str]], None], *args: object) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        shown = capsys.readouterr()
        return Ended(ended.value.code or 0, shown.out, shown.err)

    return run


def draw(folder: Path, split: str, count: int, seed: int) -> None:
    """Images 40 x 56 of two coloured blocks on a third colour, and index masks with a void border."""
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (folder / kind / split).mkdir(parents=True)
    for i in range(count):
        mask = np.zeros((40, 56), np.uint8)
        for label in (1, 2):
            top, left = rng.integers(0, 20), rng.integers(0, 30)
            mask[top : top + 18, left : left + 24] = label
        image = np.array(COLOURS)[mask] + rng.normal(0, 30, (40, 56, 3))
        mask[:2] = 255
        cv2.imwrite(str(folder / "images" / split / f"{i}.png"), image.clip(0, 255).astype(np.uint8)[..., ::-1])
        cv2.imwrite(str(folder / "masks" / split / f"{i}.png"), mask)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`folder:` data with a training, a validation and a test split, and a class that never occurs."""
    folder = tmp_path_factory.mktemp("data")
    for seed, (split, count) in enumerate((("train", 8), ("val", 5), ("search_val", 4), ("test", 3))):
        draw(folder, split, count, seed)
    (folder / "classes.json").write_text(json.dumps(["ground", "block", "box", "absent"]))
    return folder


@pytest.fixture(scope="session")
def trained(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a short training, in the folder of a run."""
    import torch

    from nas.export import BEST, save_checkpoint
    from nas.models import Encoder, Plain, Stage, UNet
    from nas.space import Recipe
    from nas.tasks import CrossEntropy, Supervised
    from nas.tasks.data.load import load_data
    from nas.training import Adam, Augment, Constant, Plan, train

    recipe = Recipe(
        encoder=Encoder((Stage(Plain(convs=1), 8), Stage(Plain(convs=1), 12), Stage(Plain(convs=1), 16))),
        decoder=UNet(block=Plain(convs=1)),
        loss=CrossEntropy(),
        method=Supervised(),
        optimizer=Adam(lr=0.01),
        schedule=Constant(),
        augment=Augment(scale=(0.8, 1.25)),
        labelled_batch=4,
    )
    spec = f"folder:{data_folder}"
    data = load_data(spec, labels="4", size=(32, 48), progress=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = train(recipe, data, Plan(steps=25, rungs=(25,), seed=1))
    finally:
        torch.set_num_threads(threads)
    provenance = {"data": {"spec": spec, "labels": "4", "unlabelled": None, "size": [32, 48], "seed": 0}}
    path = tmp_path_factory.mktemp("run") / BEST
    save_checkpoint(path, result.network, recipe, data, {"validation_miou": result.scores.miou}, provenance)
    return path
