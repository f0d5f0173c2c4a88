"""A pretraining from Python: its images, its weights in an encoder, its table and its result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

import nas
from nas.controller.pretrain_images import pretrain_images
from nas.controller.pretraining import PretrainSession
from nas.errors import UserError
from nas.models import Pretrained, make_norm
from nas.space import load_space
from nas.tasks.data import FewLabelData, ImageSet, load_data
from nas.training.pretraining import Pretraining
from tests.photos import draw_photos, photos
from tests.shell import Shell

SMALL: dict[str, Any] = {"space": "small.py", "steps": 12, "batch": 6, "pretext": "Rotation,Denoising"}


@pytest.fixture
def here(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder with a space and photos, as the working directory."""
    draw_photos(shell.folder / "photos")
    monkeypatch.chdir(shell.folder)
    return shell


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Pretraining]:
    """The trainings that are run."""
    seen: list[Pretraining] = []
    execute = PretrainSession.execute

    def note(session: PretrainSession, folder: Path) -> Any:
        seen.append(session.training)
        return execute(session, folder)

    monkeypatch.setattr(PretrainSession, "execute", note)
    return seen


def test_weights_give_the_trained_encoder_tensor_by_tensor(here: Shell, trainings: list[Pretraining]) -> None:
    done = nas.pretrain(data="folder:photos", **SMALL)
    trained = trainings[0].network.encoder.state_dict()
    loaded = Pretrained(load_space("small.py").baselines[0].encoder, weights="runs/pretrain-1").build(
        partial(make_norm, "batch")
    )
    assert not torch.equal(loaded.body.state_dict()["stages.0.0.0.0.weight"], trained["stages.0.0.0.0.weight"])
    loaded.load_weights()
    state = loaded.body.state_dict()
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert state.keys() == trained.keys() and len(state) > len(counters) > 0
    assert all(torch.equal(state[name], trained[name]) for name in state)
    assert done.folder == Path("runs/pretrain-1") and done.checkpoint == Path("runs/pretrain-1/best.safetensors")
    assert done.use == 'encoder=Pretrained(first.encoder, weights="runs/pretrain-1"), norm="batch"'


def test_the_result_and_its_table(here: Shell) -> None:
    done = nas.pretrain(data="folder:photos", name="one", **SMALL)
    assert repr(done).startswith("<PretrainedWeights runs/one: 12 steps, Rotation ")
    assert done.use in repr(done)
    table = done.frame()
    assert list(table) == ["step", "task", "loss", "accuracy", "chance"]
    assert sorted(set(table["step"])) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12]
    for each in done.learnt:
        losses = table[table["task"] == each.task].set_index("step")["loss"]
        assert (losses[0], losses[12]) == (each.before, each.after)
    assert pd.isna(table.loc[table["task"] == "Denoising", "accuracy"]).all()
    assert sorted(path.name for path in done.folder.iterdir()) == [
        *("best.safetensors", "pretrain.json", "pretrain.log", "pretraining.csv"),
    ]


def test_the_seed_decides_the_file(here: Shell) -> None:
    """Bytes are equal in another folder of another name, and differ with another seed."""
    same, again, other = (
        nas.pretrain(data="folder:photos", seed=seed, **SMALL).checkpoint.read_bytes() for seed in (0, 0, 1)
    )
    assert same == again != other


def test_the_file_says_what_it_holds(here: Shell) -> None:
    done = nas.pretrain(data="folder:photos", **SMALL)
    with safe_open(done.checkpoint, framework="pt") as file:
        assert all(name.startswith("encoder.stages.") for name in file.keys())  # noqa: SIM118 (not a dict)
        (about,) = file.metadata().values()
    for words in ('"Rotation"', '"digest"', '"seed": 0', '"steps": 12', str(here.folder / "photos")):
        assert words in about
    with pytest.raises(UserError, match="holds a pretrained encoder, not a whole network"):
        nas.load("runs/pretrain-1")
    with pytest.raises(UserError, match="is not a run"):
        nas.resume("runs/pretrain-1")


def test_neither_ranking_nor_test_images_are_used(here: Shell, trainings: list[Pretraining]) -> None:
    settings: dict[str, Any] = {"labels": "4", "folds": 0, "size": (24, 32)}
    nas.pretrain(data="folder:photos", **settings, **SMALL)
    data = load_data("folder:photos", labels="4", folds=0, size=(24, 32), progress=False)
    assert len(data.validation) > 0 and len(data.test) > 0
    (training,) = trainings
    used = training.images.images(np.arange(len(training.images))).permute(0, 2, 3, 1).numpy()
    assert {image.tobytes() for image in used} == {
        image.tobytes() for image in (*data.labelled.images, *data.unlabelled.images)
    }
    assert not {image.tobytes() for image in used} & {i.tobytes() for i in (*data.validation.images, *data.test.images)}
    assert sorted([*training.trained, *training.held_out]) == list(range(len(used)))


def data_of(groups: tuple[str, ...]) -> FewLabelData:
    images, masks = photos(len(groups))
    names = tuple(f"photo_{i:03d}" for i in range(len(groups)))
    labelled, rest = ImageSet(images[:4], masks[:4], names[:4]), ImageSet(images[4:], None, names[4:])
    classes, palette = ("a", "b", "c"), ((0, 0, 0),) * 3
    return FewLabelData(
        "made", classes, palette, labelled, rest, labelled, labelled, groups=groups[:4], unlabelled_groups=groups[4:]
    )


def test_held_out_images_divide_one_group_at_most_and_a_film_in_time() -> None:
    for seed in range(8):
        groups = tuple(f"patient {i // 5}" for i in range(100))
        images = pretrain_images(data_of(groups), seed)
        held, trained = ({groups[i] for i in part} for part in (images.held_out, images.trained))
        assert len(images.held_out) == 10 and len(held & trained) == 0
        film = pretrain_images(data_of(("film a",) * 50 + ("film b",) * 50), seed)
        assert film.held_out[-1] - film.held_out[0] == 9
    assert len(pretrain_images(data_of(tuple(map(str, range(20)))), 0).held_out) == 8
    assert len(pretrain_images(data_of(tuple(map(str, range(900)))), 0).held_out) == 64


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError, match=r"made has 4 labelled and 15 unlabelled images .*too few to pretrain on"):
        pretrain_images(data_of(tuple(map(str, range(19)))), 0)


def test_a_component_and_tasks_from_python(here: Shell) -> None:
    encoder = nas.Encoder(stages=(nas.Stage(width=4), nas.Stage(width=6)))
    small = {**SMALL, "pretext": [nas.Rotation(), nas.Jigsaw(grid=2, weight=0.5)]}
    done = nas.pretrain(data="folder:photos", encoder=encoder, **small)
    assert [(each.task, each.weight) for each in done.learnt] == [("Rotation", 1.0), ("Jigsaw", 0.5)]
    Pretrained(encoder, weights=str(done.folder)).check_weights()
