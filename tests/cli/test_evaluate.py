"""nas-evaluate as typed: the stored score, and scores that are recomputed by hand."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nas.cli.evaluate import evaluate_checkpoint, main, score_table
from nas.cli.splits import load_split
from nas.export import load_checkpoint
from nas.tasks.data import load_data
from nas.training import Scores


def table_of(out: str) -> dict[str, str]:
    """The table's numbers by name."""
    return dict(re.findall(r"^(\S.*?)  +(\S+)$", out, re.MULTILINE))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_stored_score_comes_back_to_the_last_bit(trained, threads) -> None:
    loaded = load_checkpoint(trained)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        scores = evaluate_checkpoint(loaded, load_split(loaded, "validation"), "cpu")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert scores.miou == loaded.metrics["validation_miou"]
    assert scores.miou > 0.5


def test_images_of_the_split_that_were_trained_on_are_left_out(trained, data_folder, tmp_path) -> None:
    loaded = load_checkpoint(trained)
    everything = load_split(loaded, "validation").names
    trained_on = everything[0]
    stored = loaded.provenance["data"] | {"labelled": [trained_on, "elsewhere"]}
    loaded = replace(loaded, provenance=loaded.provenance | {"data": stored})
    assert load_split(loaded, "validation").names == everything[1:]
    assert load_split(loaded, "validation", f"{stored['spec']}/.").names == everything[1:]
    # Another set has other images, even with the same names.
    shutil.copytree(data_folder, tmp_path / "other")
    other = f"folder:{tmp_path / 'other'}"
    assert load_split(loaded, "validation", other).names == everything
    # The same set is recognized after it was moved.
    found = load_data(stored["spec"], progress=False).fingerprint
    moved = replace(loaded, provenance=loaded.provenance | {"data": stored | {"fingerprint": found}})
    assert load_split(moved, "validation", other).names == everything[1:]
    nothing = replace(
        loaded, provenance=loaded.provenance | {"data": {**stored, "fingerprint": found, "holdout": False}}
    )
    assert load_split(nothing, "validation", other).names == load_split(loaded, "test").names


def test_the_labelled_set_given_as_the_unlabelled_one_is_recognized(data_folder, tmp_path) -> None:
    spec = f"folder:{data_folder}"
    alone = load_data(spec, progress=False)
    file = tmp_path / "labelled.txt"
    file.write_text("\n".join((alone.labelled.names[0], alone.validation.names[0])))
    data = load_data(spec, str(file), unlabelled=f"{spec}/.", progress=False)
    assert data.taken_from_ranking == (alone.validation.names[0],)
    assert data.validation.names == alone.validation.names[1:]


def test_scores_of_the_test_split_agree_with_numpy(trained, data_folder, typed) -> None:
    ended = typed(main, trained, "--split", "test", "--device", "cpu")
    network = load_checkpoint(trained).network
    hits, unions = np.zeros(4), np.zeros(4)
    right = known = 0
    for file in sorted((data_folder / "images" / "test").iterdir()):
        image = cv2.resize(cv2.imread(str(file))[..., ::-1], (48, 32), interpolation=cv2.INTER_AREA)
        mask = cv2.imread(str(data_folder / "masks" / "test" / file.name), cv2.IMREAD_GRAYSCALE)
        mask = cv2.resize(mask, (48, 32), interpolation=cv2.INTER_NEAREST_EXACT)
        with torch.no_grad():
            pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
            predicted = network(pixels)[0].argmax(0).numpy()
        for k in range(4):
            truth, guess = (mask == k), (predicted == k) & (mask != 255)
            hits[k] += (truth & guess).sum()
            unions[k] += (truth | guess).sum()
        right += (predicted == mask).sum()
        known += (mask != 255).sum()
    table = table_of(ended.out)
    names = ["ground", "block", "box", "absent"]
    iou = [hit / union if union else math.nan for hit, union in zip(hits, unions, strict=True)]
    for name, value in zip(names, iou, strict=True):
        # Another batch size may change a pixel where two classes are nearly equal.
        assert table[name] == "-" if math.isnan(value) else abs(float(table[name]) - value) < 2e-3
    assert float(table["mIoU"]) == pytest.approx(np.nanmean(iou), abs=2e-3)
    assert float(table["pixel accuracy"]) == pytest.approx(right / known, abs=2e-3)
    assert "test: 3 images of 32x48" in ended.out


def test_the_output(trained, typed) -> None:
    ended = typed(main, trained.parent, "--device", "cpu")
    stored = load_checkpoint(trained).metrics["validation_miou"]
    assert ended.code == 0
    assert table_of(ended.out)["mIoU"] == f"{stored:.4f}"
    assert ended.out.endswith(f"stored with the checkpoint: mIoU {stored:.4f}\n")
    assert "validation: 4 images of 32x48" in ended.out


def test_a_score_that_differs_from_the_stored_one_is_reported(trained, typed, monkeypatch) -> None:
    found = Scores(0.1, 0.1, (0.1, 0.1, 0.1, 0.1))
    monkeypatch.setattr("nas.cli.evaluate.evaluate_checkpoint", lambda *given: found)
    ended = typed(main, trained, "--device", "cpu")
    assert ended.code == 0
    last = ended.out.splitlines()[-1]
    assert last == "They differ: images, device or toolkit are no longer those of the training." and len(last) <= 80


def test_after_folds_the_output_says_which_images_each_score_is_of(trained, typed, tmp_path) -> None:
    test = float(table_of(typed(main, trained, "--split", "test", "--device", "cpu").out)["mIoU"])
    with safe_open(trained, framework="pt") as file:
        metadata = file.metadata()
    provenance, metrics = json.loads(metadata["provenance"]), {"validation_miou": 0.4321, "test_miou": test}
    provenance["data"]["folds"] = 3
    own = tmp_path / "own.safetensors"
    changed = {"provenance": json.dumps(provenance), "metrics": json.dumps(metrics)}
    save_file(load_file(trained), own, metadata | changed)
    ended = typed(main, own, "--device", "cpu")
    assert ended.out.startswith(
        "The search ranked on 3 folds of the labelled images, on which the network was\n"
        "then trained: these are the images of the test split instead.\n"
    )
    assert float(table_of(ended.out)["mIoU"]) == test
    assert ended.out.endswith(
        "stored with the checkpoint: mIoU 0.4321 on the 3 folds, which are other images:\n"
        "do not compare it with the mIoU above.\n"
        f"stored with the checkpoint: mIoU {test:.4f} on the test split\n"
    )
    assert max(map(len, ended.out.splitlines())) <= 80
    other = json.dumps(metrics | {"test_miou": test + 0.1})
    save_file(load_file(trained), own, metadata | changed | {"metrics": other})
    assert "They differ" in typed(main, own, "--device", "cpu").out


def test_another_size_and_data(trained, data_folder, typed) -> None:
    ended = typed(main, trained, "--data", f"folder:{data_folder}", "--size", "24x32")
    assert ended.code == 0
    assert "validation: 4 images of 24x32" in ended.out
    assert "stored" not in ended.out


def test_absent_classes_and_long_names_fit_80_columns() -> None:
    text = score_table(["road", "x" * 100], Scores(0.25, 0.5, (0.25, math.nan)))
    lines = text.splitlines()
    assert max(map(len, lines)) == 80
    assert lines[2].split() == ["road", "0.2500"]
    assert lines[3].endswith("...        -")
    assert table_of(text)["mIoU"] == "0.2500"


def test_data_of_other_classes_is_refused(trained, data_folder, typed, tmp_path) -> None:
    other = shutil.copytree(data_folder, tmp_path / "other")
    (other / "classes.json").write_text(json.dumps(["ground", "box", "block", "absent"]))
    ended = typed(main, trained, "--data", f"folder:{other}")
    assert ended.code == 2
    assert "4 classes (ground, box, block, absent)" in ended.err
    assert "the checkpoint 4 (ground, block, box, absent)" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["--size", "big"],
        ["--size", "4x4"],
        ["--device", "tpu"],
        ["--device", "cuda:99"],
        ["--data", "folder:/none"],
        ["--split", "train"],
    ],
)
def test_mistakes_are_one_line(trained, typed, args) -> None:
    ended = typed(main, trained, *args)
    assert ended.code == 2
    assert ended.err.startswith("nas-evaluate: error: ") and ended.err.count("\n") == 1


def test_a_checkpoint_that_does_not_name_its_data(trained, typed, tmp_path) -> None:
    from nas.export import save_checkpoint

    loaded = load_checkpoint(trained)

    class Data:
        classes = loaded.classes
        labelled = load_split(loaded, "test")

    path = tmp_path / "a.safetensors"
    save_checkpoint(path, loaded.network, loaded.candidate, Data(), {}, {})
    ended = typed(main, path)
    assert ended.code == 2
    assert "give --data KIND:PATH" in ended.err
