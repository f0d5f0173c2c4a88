"""The recipe of a pretraining: encoders and tasks by the names that a user writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import nas
from nas import Choice, Denoising, Encoder, Inpainting, Jigsaw, Mix, Norms, Pretrained, Rotation, Stage, Timm
from nas.controller.pretext_recipe import choose_encoder, choose_tasks
from nas.controller.starting_weights import check_weights
from nas.errors import UserError
from nas.search_spaces import multitask, unet
from nas.space import load_space, middle
from nas.space.domains import Float, Int
from tests.pretrained import TINY, import_or_skip

SPACE = load_space("multitask.py")


def test_the_default_is_every_task_of_the_space_with_weight_1() -> None:
    tasks = choose_tasks(SPACE)
    assert [type(task).__name__ for task in tasks] == ["Inpainting", "Denoising", "Colorization", "Jigsaw", "Rotation"]
    assert {task.weight for task in tasks} == {1.0}
    assert tasks[0].area == pytest.approx((0.15 + 0.3) / 2)
    assert choose_tasks(load_space("unet.py")) == tuple(
        replace(task, area=0.2) if i == 0 else task for i, task in enumerate(tasks)
    )


def test_fixed_weights_of_a_space_are_kept() -> None:
    fixed = (Inpainting(weight=0.1), Jigsaw(grid=2, weight=0.3), Rotation(weight=0.0))
    assert choose_tasks(replace(SPACE, pretext=fixed)) == fixed[:2]
    assert choose_tasks(replace(SPACE, pretext=Mix(Jigsaw(), Rotation(), weight=0.5))) == (
        Jigsaw(weight=0.5),
        Rotation(weight=0.5),
    )
    own = Mix(Jigsaw(weight=0.25), Rotation(), weight=None)
    assert choose_tasks(replace(SPACE, pretext=own)) == (Jigsaw(weight=0.25), Rotation())


def test_names_weights_and_settings_of_the_space() -> None:
    space = replace(SPACE, pretext=Mix(Jigsaw(grid=2)))
    for wanted in ("rotation, Jigsaw:0.5", ("Rotation", "Jigsaw:0.5"), [Rotation(), "jigsaw:.5"]):
        assert choose_tasks(space, wanted) == (Rotation(), Jigsaw(grid=2, weight=0.5))
    assert choose_tasks(space, "Rotation,Jigsaw:0") == (Rotation(),)


@dataclass(frozen=True)
class OwnRotation(Rotation):
    """A user's own task."""


def test_own_tasks_of_a_space() -> None:
    space = replace(SPACE, pretext=Mix(OwnRotation(), Denoising()))
    assert choose_tasks(space, "OwnRotation,Jigsaw") == (OwnRotation(), Jigsaw())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("Jigsav", "'Jigsav': there is no such task, did you mean Jigsaw; there are Inpainting, "),
        ("xyz", "'xyz': there is no such task; there are Inpainting"),
        ("", "'': there is no such task; there are"),
        ("Rotation,", "'': there is no such task"),
        ("Rotation:0,Jigsaw:0", "every weight is 0"),
        ([], "every weight is 0"),
        ("Rotation:-1", "Rotation:-1: the weight must be a number of 0 or more"),
        ("Rotation:much", "Rotation:much: the weight must be"),
        ("Rotation:nan", "Rotation:nan: the weight must be"),
        ("Rotation:", "the weight must be"),
        ("Rotation,Jigsaw,rotation", "names Rotation twice"),
        ([Encoder()], "is no pretext task"),
    ],
)
def test_unusable_tasks_are_named(wanted: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_tasks(SPACE, wanted)


def code_of(use: str, **names: Any) -> dict[str, Any]:
    """Evaluate `encoder=..., norm=...` as in a space file."""
    return eval(f"dict({use})", {**{name: getattr(nas, name) for name in nas._HOMES["nas.models"]}, **names})


def test_what_is_printed_is_the_encoder_in_the_code_of_a_space() -> None:
    chosen = choose_encoder(SPACE, "multitask.py", "fast")
    assert chosen.recipe.encoder == multitask.fast.encoder
    assert code_of(f"encoder={chosen.use('runs/a')}", fast=multitask.fast) == {
        "encoder": Pretrained(multitask.fast.encoder, weights="runs/a"),
        "norm": "batch",
    }
    switch = choose_encoder(SPACE, "multitask.py", "multitask_switchnorm")
    assert switch.use("runs/a").endswith('norm="switch"')
    closed = choose_encoder(load_space("unet.py"), "unet.py")
    assert code_of(f"encoder={closed.use('runs/a')}", space=unet.space)["encoder"].encoder == unet.space.encoder
    own = Encoder(stages=(Stage(width=8), Stage(width=12)), stem_stride=2)
    given = choose_encoder(replace(SPACE, norm=Norms("group", "batch")), "multitask.py", own)
    assert code_of(f"encoder={given.use('runs/a')}", **vars(nas.models))["encoder"].encoder == own


def test_all_stages_are_trained() -> None:
    import_or_skip("timm")
    frozen = replace(multitask.fast, encoder=Timm(TINY, frozen="all", statistics="frozen", rate=0.1))
    space = replace(SPACE, baselines=(frozen,), baseline_names=("mine",))
    assert choose_encoder(space, "s.py").recipe.encoder == Timm(TINY, rate=0.1)
    assert choose_encoder(space, "s.py", weights="w.pth").recipe.encoder == Timm(TINY, "w.pth", rate=0.2)
    named = choose_encoder(SPACE, "multitask.py", TINY)
    assert named.recipe == replace(multitask.unet, encoder=Timm(TINY))
    assert code_of(f"encoder={named.use('runs/a')}") == {"encoder": Timm(TINY, "runs/a")}
    started = choose_encoder(SPACE, "multitask.py", "fast", "w.pth")
    assert started.recipe.encoder == Pretrained(multitask.fast.encoder, "w.pth", rate=0.2)
    again = replace(SPACE, baselines=(started.recipe,), baseline_names=("mine",))
    assert (
        choose_encoder(again, "s.py").use("runs/a")
        == 'Pretrained(mine.encoder.encoder, weights="runs/a"), norm="batch"'
    )


def test_a_space_without_baselines_lends_its_settings() -> None:
    import_or_skip("timm")
    space = replace(SPACE, baselines=(), baseline_names=())
    recipe = choose_encoder(space, "s.py", TINY).recipe
    assert recipe.optimizer.momentum == pytest.approx((0.8 + 0.99) / 2) and recipe.schedule.power == 0.9
    with pytest.raises(UserError, match=r"s\.py has no baseline whose encoder could be trained"):
        choose_encoder(space, "s.py")


@dataclass(frozen=True)
class OwnEncoder(nas.Component):
    """A user's own encoder."""


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("fst", r"--encoder fst: multitask\.py has no such baseline \(unet, .*; did you mean fast\), and Timm\.name"),
        ("resnet1888", r"multitask\.py has no such baseline .*timm has no such network, did you mean resnet18"),
        (Encoder(stages=(Stage(width=Choice(8, 16)),)), "encoder has open fields"),
        (OwnEncoder(), "only Encoder, Pretrained and Timm start from weights, and this is a OwnEncoder"),
    ],
)
def test_unusable_encoders_are_named(encoder: Any, message: str) -> None:
    import_or_skip("timm")
    with pytest.raises(UserError, match=message):
        choose_encoder(SPACE, "multitask.py", encoder)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Choice("a", "b"), "a"),
        (Choice("a", "b", prior="b"), "b"),
        (Int(2, 6), 4),
        (Int(1, 100, log=True), 10),
        (Float(0.0, 1.0), 0.5),
        (Float(1e-4, 1e-2, log=True), 1e-3),
        (Float(0.0, 1.0, step=0.25), 0.5),
        (Float(0.0, 1.0, prior=0.9), 0.9),
    ],
)
def test_the_middle_of_a_domain(domain: Any, value: Any) -> None:
    assert middle("", domain) == pytest.approx(value) if isinstance(value, float) else middle("", domain) == value


def test_weights_are_checked_with_the_norms_of_the_space(tmp_path: Path) -> None:
    """Weights of an encoder with group norm fit spaces that have it among their norms."""
    from safetensors.torch import save_file

    from nas.models import build_network

    encoder = Encoder(stages=(Stage(width=8), Stage(width=12)))
    state = build_network(replace(multitask.unet, encoder=encoder, norm="switch"), 2).state_dict()
    save_file(state, tmp_path / "run.safetensors")
    part = Pretrained(encoder, str(tmp_path / "run.safetensors"))
    for norm in ("switch", Choice("batch", "switch"), Choice("batch", Norms(Choice("group", "switch"), "batch"))):
        check_weights(replace(SPACE, encoder=part, norm=norm, baselines=()))
    with pytest.raises(UserError, match="does not fit the encoder"):
        check_weights(replace(SPACE, encoder=part, norm=Choice("batch", "group"), baselines=()))
