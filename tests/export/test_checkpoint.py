"""Checkpoints restore what was saved, and unusable files get a one-line error."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import nas
from nas.errors import UserError
from nas.export import BEST, Preprocessing, load, load_checkpoint, save_checkpoint
from nas.space import Component, load_space


def rewritten(path: Path, tensors=None, **metadata: str) -> Path:
    """Change some tensors or metadata of a file."""
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    save_file(tensors or load_file(path), path, {**old, **metadata})
    return path


def test_network_recipe_and_description_are_restored(checkpoint, network, recipe, data) -> None:
    loaded = load_checkpoint(checkpoint)
    images = torch.rand(2, 3, 21, 35)
    assert torch.equal(loaded.network(images), network(images))
    assert not loaded.network.training
    assert loaded.candidate == recipe
    assert (loaded.classes, loaded.palette, loaded.size) == (data.classes, data.palette, (24, 32))
    assert loaded.metrics == {"validation_miou": 0.1 + 0.2}
    assert loaded.provenance["seed"] == 3
    assert loaded.provenance["torch"] == torch.__version__
    assert loaded.provenance["toolkit"].endswith(nas.__version__)


def test_the_preprocessing_is_recorded(checkpoint) -> None:
    with safe_open(checkpoint, framework="np") as file:
        metadata = file.metadata()
    assert json.loads(metadata["size"]) == [24, 32]
    assert json.loads(metadata["preprocessing"])["resize"] == "squeeze"
    assert load_checkpoint(checkpoint).preprocessing == Preprocessing((24, 32))


def test_a_checkpoint_without_preprocessing_can_be_loaded(checkpoint) -> None:
    with safe_open(checkpoint, framework="pt") as file:
        old = {name: text for name, text in file.metadata().items() if name != "preprocessing"}
    save_file(load_file(checkpoint), checkpoint, old)
    assert load_checkpoint(checkpoint).preprocessing == Preprocessing((24, 32))


def test_any_safetensors_reader_can_read_it(checkpoint, network) -> None:
    with safe_open(checkpoint, framework="np") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert json.loads(metadata["recipe"])["recipe"]["decoder"]["type"] == "UNet"
    assert json.loads(metadata["normalization"])["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert names == {name for name in network.state_dict() if not name.startswith("heads.")}


def test_pretext_heads_are_not_saved(checkpoint, network) -> None:
    assert "heads.Task.weight" in network.state_dict()
    assert len(load(checkpoint).heads) == 0


def test_other_normalization_is_kept(tmp_path, recipe, data) -> None:
    from nas.models import build_network

    network = build_network(recipe, 3, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    save_checkpoint(tmp_path / "a.safetensors", network, recipe, data, {}, {})
    assert torch.equal(load(tmp_path / "a.safetensors").std, network.std)


def test_values_that_json_does_not_have_are_converted(tmp_path, network, recipe, data) -> None:
    metrics = {"iou": [np.float32(0.5), math.nan], "confusion": np.eye(2, dtype=int), "where": Path("a")}
    save_checkpoint(tmp_path / "a.safetensors", network, recipe, data, metrics, {})
    stored = load_checkpoint(tmp_path / "a.safetensors").metrics
    assert stored == {"iou": [0.5, None], "confusion": [[1, 0], [0, 1]], "where": "a"}


def test_data_without_colours_gets_distinct_ones(tmp_path, network, recipe, data) -> None:
    class Plain:
        classes, labelled = data.classes, data.labelled

    save_checkpoint(tmp_path / "a.safetensors", network, recipe, Plain(), {}, {})
    assert len(set(load_checkpoint(tmp_path / "a.safetensors").palette)) == 3


def test_the_folder_of_a_run_loads_its_best_checkpoint(checkpoint, network) -> None:
    assert checkpoint.name == BEST
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(load(checkpoint.parent)(images), network(images))


def test_a_failed_save_leaves_the_old_file(checkpoint, network, recipe, data, monkeypatch) -> None:
    before = checkpoint.read_bytes()

    def full(state, path, metadata) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nas.export.checkpoint.save_file", full)
    with pytest.raises(OSError, match="space"):
        save_checkpoint(checkpoint, network, recipe, data, {}, {})
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_the_file_has_the_usual_permissions(checkpoint, tmp_path) -> None:
    (tmp_path / "plain").touch()
    assert checkpoint.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_components_of_a_space_file_need_that_file(tmp_path, network, data) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "from nas.models import Encoder, Plain, Stage, UNet\n"
        "from nas.space import Recipe\n"
        "from nas import Supervised\n"
        "@dataclass(frozen=True)\n"
        "class OwnUNet(UNet):\n"
        "    pass\n"
        "stages = (Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6), Stage(Plain(convs=1), 8))\n"
        "unused = Plain()\n"
        "training = dict.fromkeys(('loss', 'optimizer', 'schedule', 'augment'), unused)\n"
        "space = Recipe(Encoder(stages), OwnUNet(block=Plain(convs=1)), 'switch', method=Supervised(), **training)\n"
    )
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, network, load_space(file), data, {}, {})
    Component.types.pop("OwnUNet")
    with pytest.raises(UserError, match=r"OwnUNet.*space file"):
        load(path)
    assert type(load_checkpoint(path, space=file).candidate.decoder).__name__ == "OwnUNet"


def missing(path: Path) -> Path:
    return path.with_name("none.safetensors")


def pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-100])
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def foreign(path: Path) -> Path:
    save_file({"weight": torch.zeros(2)}, path)
    return path


def newer(path: Path) -> Path:
    return rewritten(path, fewlabel_nas="2")


def other_network(path: Path) -> Path:
    with safe_open(path, framework="pt") as file:
        recipe = file.metadata()["recipe"]
    return rewritten(path, recipe=recipe.replace('"width": 8', '"width": 16'))


def one_tensor_less(path: Path) -> Path:
    tensors = load_file(path)
    tensors.pop("classifier.bias")
    return rewritten(path, tensors)


def unknown_component(path: Path) -> Path:
    with safe_open(path, framework="pt") as file:
        recipe = file.metadata()["recipe"]
    return rewritten(path, recipe=recipe.replace('"UNet"', '"NoSuchNet"'))


def bad_component(path: Path) -> Path:
    return rewritten(path, recipe='{"schema": 1, "recipe": {"type": "Recipe", "encoder": 3, "decoder": 4}}')


def damaged(path: Path) -> Path:
    return rewritten(path, classes="[")


def resized_otherwise(path: Path) -> Path:
    return rewritten(path, preprocessing='{"resize": "crop"}')


def run_without_best(path: Path) -> Path:
    path.unlink()
    return path.parent


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (missing, "no such file"),
        (pickled, "not a safetensors file"),
        (cut, "or is incomplete"),
        (empty, "not a safetensors file"),
        (foreign, "not a checkpoint of this toolkit"),
        (newer, "use the version that wrote it"),
        (other_network, "size mismatch for"),
        (one_tensor_less, "classifier.bias"),
        (unknown_component, "'NoSuchNet' is unknown"),
        (bad_component, "damaged"),
        (damaged, "damaged"),
        (resized_otherwise, "'crop'"),
        (run_without_best, "has no best.safetensors"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_unusable_files_get_a_one_line_error(checkpoint, spoil, expected) -> None:
    path = spoil(checkpoint)
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert expected in message
    assert str(path) in message
    assert "\n" not in message
