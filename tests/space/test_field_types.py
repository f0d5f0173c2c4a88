"""Type checks of a space's fields: errors name the field; shipped spaces and parts pass."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from nas import (
    ASPP,
    SGD,
    Adam,
    Augment,
    Choice,
    Component,
    CutMix,
    Encoder,
    Float,
    Fusion,
    Int,
    Jigsaw,
    Mix,
    Plain,
    Poly,
    PretrainThenFinetune,
    Repeat,
    Stage,
    UNet,
)
from nas.cli.search import main
from nas.components import know_components
from nas.search_spaces.unet import space as unet
from nas.space import SpaceError
from nas.space.field_types import check_types


def stages(**values: Any) -> Encoder:
    return Encoder(stages=(Stage(), Stage(**values)))


WHOLE, NUMBER = "give a whole number", "give a number"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": stages(width="16")}, f"encoder.stages.1.width (Stage.width) is '16': {WHOLE}"),
        ({"encoder": stages(width=16.5)}, f"encoder.stages.1.width (Stage.width) is 16.5: {WHOLE}"),
        ({"encoder": stages(width=True)}, f"encoder.stages.1.width (Stage.width) is True: {WHOLE}"),
        ({"encoder": stages(depth=None)}, f"encoder.stages.1.depth (Stage.depth) is None: {WHOLE}"),
        ({"encoder": stages(width=Choice(8, "16"))}, f"encoder.stages.1.width (Stage.width) holds '16': {WHOLE}"),
        ({"encoder": stages(width=Float(8, 16))}, f"encoder.stages.1.width (Stage.width) is Float(8, 16): {WHOLE}"),
        ({"encoder": stages(block="Plain")}, "encoder.stages.1.block (Stage.block) is 'Plain': give a Block"),
        (
            {"encoder": stages(block=Choice(Plain(), Plain))},
            "encoder.stages.1.block (Stage.block) holds the class Plain, not Plain(...): give a Block",
        ),
        ({"encoder": stages(block=Plain(convs="2"))}, f"encoder.stages.1.block.convs (Plain.convs) is '2': {WHOLE}"),
        (
            {"encoder": Encoder(Repeat(Stage(width="8"), times=2))},
            f"encoder.stages.*.width (Stage.width) is '8': {WHOLE}",
        ),
        ({"encoder": Encoder(Stage())}, "encoder.stages (Encoder.stages) is Stage(...): give a tuple of Stages"),
        ({"decoder": ASPP(rates=(6, "12"))}, "decoder.rates (ASPP.rates) holds '12': give a tuple of whole numbers"),
        ({"pretext": (Jigsaw(weight="1"),)}, f"pretext.0.weight (Jigsaw.weight) is '1': {NUMBER}"),
        ({"pretext": Mix(Jigsaw(grid="2"))}, f"pretext.Jigsaw.grid (Jigsaw.grid) is '2': {WHOLE}"),
        ({"pretext": Jigsaw()}, "pretext (Recipe.pretext) is Jigsaw(...): give a tuple"),
        ({"method": CutMix(weight="1")}, f"method.weight (CutMix.weight) is '1': {NUMBER}"),
        (
            {"optimizer": Choice(Adam(), SGD(nesterov="no"))},
            "optimizer.SGD.nesterov (SGD.nesterov) is 'no': give True or False",
        ),
        ({"schedule": Poly(power="1")}, f"schedule.power (Poly.power) is '1': {NUMBER}"),
        (
            {"augment": Augment(scale=1)},
            "augment.scale (Augment.scale) is 1: give a tuple of a number and a number",
        ),
        (
            {"augment": Augment(crop=96)},
            "augment.crop (Augment.crop) is 96: give a tuple of a whole number and a whole number or None",
        ),
        (
            {"curriculum": PretrainThenFinetune(fraction="0.3")},
            f"curriculum.fraction (PretrainThenFinetune.fraction) is '0.3': {NUMBER}",
        ),
        (
            {"curriculum": "joint"},
            "curriculum (Recipe.curriculum) is 'joint': give a Joint or a PretrainThenFinetune",
        ),
        (
            {"pretext_statistics": "dirty"},
            "pretext_statistics (Recipe.pretext_statistics) is 'dirty': give 'clean' or 'shared'",
        ),
        ({"labelled_batch": "4"}, f"labelled_batch (Recipe.labelled_batch) is '4': {WHOLE}"),
        ({"clip": Choice(None, "1")}, f"clip (Recipe.clip) holds '1': {NUMBER} or None"),
    ],
)
def test_the_error_names_path_field_and_allowed_type(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError) as error:
        check_types(replace(unet, **fields))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"encoder": Encoder([Stage(width=Int(8, 16)), Stage(width=Choice(8, 16), depth=Int(1, 2))])},
        {"encoder": Encoder(Choice((Stage(),), Repeat(Stage(), times=Int(1, 2))))},
        {"optimizer": Choice(Adam(lr=1), SGD(lr=Float(1e-3, 1), momentum=Int(0, 1)))},
        {"decoder": Choice(UNet(), ASPP(rates=Choice((6, 12), (3,))))},
        {"augment": Augment(scale=(Float(0.5, 1), 2), crop=Choice(None, (96, 96)))},
        {"pretext": Mix(Jigsaw(), weight=Choice(0.1, 1)), "clip": None, "ema": Choice(None, 0.9)},
        {"method": Choice(CutMix(weight=Int(1, 3)), Fusion(segmentation=CutMix()))},
    ],
)
def test_domains_of_the_right_type_pass(fields: dict[str, Any]) -> None:
    check_types(replace(unet, **fields))


@dataclass(frozen=True)
class OddlyAnnotated(Component):
    """A user's part with an annotation that cannot be resolved."""

    unreadable: NotThere = 1  # type: ignore[name-defined] # noqa: F821


@dataclass(frozen=True)
class LooselyAnnotated(Component):
    names: list[str] = ()  # type: ignore[assignment]
    limit: int = None  # type: ignore[assignment]


def test_parts_of_users_are_checked_as_far_as_annotated() -> None:
    for part in (OddlyAnnotated("x"), LooselyAnnotated(), LooselyAnnotated(names=3), LooselyAnnotated(limit=3)):
        check_types(replace(unet, loss=part))
    with pytest.raises(SpaceError, match=r"loss.limit \(LooselyAnnotated.limit\) is 'x': give a whole number"):
        check_types(replace(unet, loss=LooselyAnnotated(limit="x")))


def test_the_annotations_of_all_shipped_parts_can_be_read() -> None:
    know_components()
    for kind in [kind for kind in Component.types.values() if kind.__module__.startswith("nas.")]:
        if is_dataclass(kind):
            assert {f.name for f in fields(kind)} <= set(get_type_hints(kind))


def test_a_search_reports_the_field_in_one_line(typed_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (typed_in / "mine.py").write_text(
        "from dataclasses import replace\nfrom nas import *\nfrom nas.search_spaces.unet import space as unet\n"
        "space = replace(unet, baselines=(replace(unet, encoder=Encoder(stages=(Stage(width='16'),))),))\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["--space", "mine.py", "--size", "16x24"])
    place = "baselines.0.encoder.stages.0.width (Stage.width)"
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"nas-search: error: mine.py: {place} is '16': give a whole number\n"
    assert not (typed_in / "runs").exists()


@pytest.fixture
def typed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
