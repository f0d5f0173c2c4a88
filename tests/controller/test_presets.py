"""The shipped presets: closed recipes of published size that train and rank, and can be named from any folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas import load
from nas.models import Encoder, Plain, Stage, build_network
from nas.space import Recipe, candidate_hash, find_shipped, from_json, load_space, to_json
from nas.space.walk import is_open
from nas.tasks.data.palettes import CITYSCAPES
from nas.tasks.data.sets import FewLabelData, ImageSet
from nas.training import Plan, train
from tests.shell import ALONE, Shell

# Millions of parameters for 19 classes.
PRESETS = {
    "unet": 31.04,
    "segnet": 29.46,
    "deeplabv2": 43.9,
    "deeplabv2_multiscale": 43.9,
    "s4gan": 43.9,
    "mlmt": 43.9,
    "multitask_switchnorm": 31.04,
}


def preset(name: str) -> Recipe:
    return load_space(f"presets/{name}.py")


def tiny(split: str, count: int = 6) -> ImageSet:
    rng = np.random.default_rng(len(split))
    masks = rng.integers(0, 2, (count, 4, 4)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    images = (100 * masks[..., None] + rng.integers(0, 100, (count, 16, 16, 3))).astype(np.uint8)
    return ImageSet(images, None if split == "unlabelled" else masks, tuple(f"{split}{i}" for i in range(count)))


@pytest.fixture(scope="module")
def data() -> FewLabelData:
    parts = (tiny(split) for split in ("labelled", "unlabelled", "validation", "test"))
    return FewLabelData("tiny", ("a", "b"), ((0, 0, 0), (255, 0, 0)), *parts)


def test_all_presets_are_tested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = find_shipped("presets/unet.py")
    assert shipped is not None
    files = {file.stem for file in shipped.parent.glob("*.py")}
    assert files == {*PRESETS, "__init__"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_closed_and_of_the_published_size(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    space = preset(name)
    assert not is_open(space)
    assert candidate_hash(from_json(to_json(space))) == candidate_hash(space)
    with torch.device("meta"):
        network = build_network(space, len(CITYSCAPES))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(PRESETS[name], rel=0.005)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains(name: str, data: FewLabelData) -> None:
    """Train each preset with a smaller encoder."""
    space = preset(name)
    own = getattr(space.encoder, "encoder", space.encoder)  # of one that starts from weights
    encoder = Encoder((Stage(Plain(), 6), Stage(Plain(), 8)), stem_stride=own.stem_stride)
    small = replace(space, encoder=encoder, labelled_batch=2, unlabelled_batch=2)
    trained = train(small, data, Plan(steps=2, rungs=(2,)))
    assert 0 <= trained.scores.miou <= 1


def test_published_settings() -> None:
    deeplab, s4gan, multitask = preset("deeplabv2"), preset("s4gan"), preset("multitask_switchnorm")
    optimizer = deeplab.optimizer.build(torch.nn.ModuleDict({"classifier": torch.nn.Linear(2, 2)}))
    assert {group["lr"] for group in optimizer.param_groups if group["params"]} == {2.5e-3}
    assert (optimizer.defaults["lr"], optimizer.defaults["momentum"]) == (2.5e-4, 0.9)
    assert deeplab.schedule.factor(50, 100) == pytest.approx(0.5**0.9)
    assert deeplab.augment.crop == (256, 512)
    assert (s4gan.method.threshold, s4gan.method.lr, s4gan.labelled_batch, s4gan.unlabelled_batch) == (0.7, 1e-5, 8, 8)
    assert replace(s4gan, method=deeplab.method) == deeplab
    assert replace(deeplab, scales=(0.5, 0.75, 1.0)) == preset("deeplabv2_multiscale")
    assert replace(preset("mlmt"), method=s4gan.method) == s4gan
    assert preset("unet").labelled_batch == 5
    assert (multitask.norm, len(multitask.pretext)) == ("switch", 4)


def test_the_cityscapes_grouping_covers_its_classes() -> None:
    path = find_shipped("presets/cityscapes_4.json")
    assert path is not None
    groups = json.loads(path.read_text())
    assert len(groups) == 4
    assert sorted(name for members in groups.values() for name in members) == sorted(CITYSCAPES)


MULTISCALE = """
from dataclasses import replace
from nas import *
from nas.search_spaces.presets.deeplabv2_multiscale import space as deeplab

small = Encoder((Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6)))
space = replace(deeplab, encoder=small, decoder=DeepLabv2(rates=(1, 2)), labelled_batch=2)
"""


def test_a_search_of_multiscale_inputs(shell: Shell) -> None:
    """As typed; the checkpoint sees the scales too."""
    shell.space.write_text(MULTISCALE)
    ended = shell.run("search", "--space", "small.py", "--budget", "1", "--name", "one", *ALONE)
    assert ended.returncode == 0, ended.stderr
    scored = shell.run("evaluate", "runs/one")
    assert scored.returncode == 0, scored.stderr
    assert f"mIoU {scored.stdout.split('mIoU ')[-1].strip()}" in " ".join(scored.stdout.split("stored")[0].split())
    assert load(shell.folder / "runs/one").scales == (0.5, 0.75, 1)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("0.5", "scales (Recipe.scales) is 0.5: give a tuple of numbers"),
        ("(0.5, 0.75)", "scales is (0.5, 0.75): give a tuple of different numbers from 0.1 to 2, one of them 1"),
        ("Choice((1.0,), (1.0, 3.0))", "scales = (1.0, 3.0) does not work: scales is (1.0, 3.0): give a tuple"),
    ],
)
def test_unusable_scales_are_refused_before_anything_is_written(shell: Shell, scales: str, message: str) -> None:
    shell.space.write_text(MULTISCALE + f"space = replace(space, scales={scales})\n")
    ended = shell.run("search", "--space", "small.py", "--budget", "1", *ALONE)
    assert ended.returncode == 2
    assert message in ended.stderr.splitlines()[-1] and "Traceback" not in ended.stderr
    assert not (shell.folder / "runs").exists()


@pytest.mark.slow
def test_a_search_of_one_closed_recipe_ranks_and_exports(shell: Shell) -> None:
    text = "from dataclasses import replace\nfrom nas import *\n"
    text += "from nas.search_spaces.presets.unet import space as unet\n"
    text += "space = replace(unet, encoder=Encoder((Stage(width=4), Stage(width=6))), labelled_batch=2)\n"
    shell.space.write_text(text)
    (shell.folder / "two.json").write_text(
        json.dumps(
            {
                "ground": ["road", "pavement"],
                "rest": ["sky", "building", "tree", "car", "person", "pole"],
                "void": ["sign"],
            }
        )
    )
    ended = shell.run(
        *("search", "--space", "small.py", "--budget", "1", "--name", "one", "--data", "scenes", "--size", "16x24"),
        *("--steps", "3", "--repeats", "1", "--group-classes", "two.json", "--workers", "1"),
    )
    assert ended.returncode == 0, ended.stderr
    run = shell.folder / "runs" / "one"
    ranked = [line.split(",")[1] for line in (run / "ranking.csv").read_text().splitlines()[1:]]
    assert sorted(ranked) == ["Otsu's threshold", "location map", "trial 0"]  # two classes
    # The run stores the grouping, not the name of the file.
    (shell.folder / "two.json").unlink()
    scored = shell.run("evaluate", "runs/one")
    assert scored.returncode == 0, scored.stderr
    table, stored = scored.stdout.split("stored with the checkpoint: mIoU ")
    assert [line.split()[0] for line in table.splitlines()[2:4]] == ["ground", "rest"]
    assert f"mIoU {stored.strip()}" in " ".join(table.split())
    again = shell.run("search", "--resume", "runs/one", "--budget", "1")
    assert again.returncode == 0, again.stderr
    exported = shell.run("export", "runs/one")
    assert exported.returncode == 0, exported.stderr
