"""Options of a space are tried before its search starts: one that never works is refused."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.controller.checks import check_builds
from nas.controller.tryout import check_constraints
from nas.errors import UserError
from nas.space import load_space
from nas.tasks.data import load_data
from nas.training import cost

HEAD = """
from dataclasses import dataclass, replace
import sys, torch
from nas import *
from nas.space import Component
from nas.search_spaces.unet import space as unet

unet = replace(unet, encoder=Encoder(stages=tuple(Stage(width=w) for w in (4, 8))), labelled_batch=2)

@dataclass(frozen=True, kw_only=True)
class Mine(Plain):
    factor: int = 3
    def build(self, cin, cout, norm, stride=1, dilation=1):
        if cin % self.factor:
            raise ValueError(f"my block takes multiples of {self.factor} only")
        return super().build(cin, cout, norm, stride, dilation)

@dataclass(frozen=True)
class MyLoss(Component):
    def build(self, class_pixels):
        return torch.nn.CrossEntropyLoss()  # without an ignore index

@dataclass(frozen=True)
class MyTask(Denoising):
    def make_batch(self, images, generator):
        sys.exit("no images, thank you")

@dataclass(frozen=True)
class MyMethod(Supervised):
    needs_unlabelled = True
    def unlabelled_loss(self, own, network, images, batch, logits, progress):
        return network(images).sum() / 0 * undefined, {}

class MyDecoder(UNet):
    def build(self, channels, reductions, norm, depths):
        return torch.nn.Identity()

def stages(block, times=2, width=8):
    return Encoder(stages=Repeat(Stage(block=block, width=width), times=times))
"""


@pytest.fixture(scope="module")
def data() -> Any:
    return load_data("scenes", size=(16, 24))


def tried(folder: Path, line: str, data: Any) -> None:
    path = folder / "mine.py"
    path.write_text(f"{HEAD}\nspace = replace(unet, {line})\n")
    check_builds(load_space(path), data)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "encoder=stages(Choice(Plain(), Mine(factor=5)), times=3)",
            "encoder.stages.*.block = Mine does not work: ValueError: my block takes multiples of 5 only (",
        ),
        ("encoder=stages(Mine(factor=5), width=Choice(4, 8))", "no candidate of the space works: ValueError: my b"),
        ("decoder=Choice(UNet(), MyDecoder())", "decoder = MyDecoder does not work: AttributeError: 'Identity' object"),
        ("decoder=Choice(UNet(up='bilinearr'), SegNet())", "decoder = UNet does not work: up is 'bilinearr': use"),
        ("decoder=UNet(up=Choice('bilinear', 'shufle'))", "decoder.up = shufle does not work: up is 'shufle': use"),
        ("norm=Choice('batch', 'grup')", "norm = grup does not work: Norms.encoder is 'grup'"),
        ("loss=Choice(CrossEntropy(), MyLoss())", "loss = MyLoss does not work: IndexError: Target 255 is out of b"),
        ("loss=MyLoss()", "the recipe cannot be built: IndexError: Target 255 is out of bounds"),
        ("pretext=Mix(Jigsaw(grid=2), MyTask())", "pretext.MyTask = True does not work: it calls sys.exit ("),
        ("method=Choice(Supervised(), MyMethod())", "method = MyMethod does not work: NameError: name 'undefined' is"),
        ("method=MyMethod()", "the recipe cannot be built: NameError: name 'undefined' is not defined ("),
        ("method=Choice(CutMix(confidence=Choice(0.9, 9.0)), S4GAN())", "method.CutMix.confidence = 9.0 does not work"),
        ("baselines=(replace(unet, loss=MyLoss()),)", "baselines.0 cannot be built: IndexError: Target 255"),
        ("norm=Choice('batch', 'group')).where(lambda c: c.nothing", "no candidate of the space works: Attribu"),
        ("norm=Choice('batch', 'group')).where(lambda c: sys.exit(0)", "it calls sys.exit ("),
    ],
)  # fmt: skip
def test_an_option_that_never_works_is_refused_with_its_own_message(
    tmp_path: Path, data: Any, line: str, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        tried(tmp_path, line, data)
    assert "\n" not in str(error.value)
    if message[-1] == "(":
        assert re.search(r"mine\.py:\d+\)$", str(error.value))


@pytest.mark.parametrize(
    ("line", "warns"),
    [
        ("encoder=stages(Choice(Plain(), Residual()), times=Int(1, 3)), norm=Choice('batch', 'switch')", False),
        # Works after a first stage of another block.
        ("encoder=stages(Choice(Plain(), Mine(factor=8)), times=3, width=Choice(4, 8))", True),
        # The constraint excludes the option that fails.
        (
            "norm=Choice('batch', 'grup'), loss=Choice(CrossEntropy(), Focal())).where(lambda c: c.norm != 'grup'",
            False,
        ),
    ],
)
def test_an_option_that_works_somewhere_is_accepted(
    tmp_path: Path, data: Any, caplog: pytest.LogCaptureFixture, line: str, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING, "nas"):
        tried(tmp_path, line, data)
    assert ("Some candidates of the space do not work" in caplog.text) == warns


def test_a_random_candidate_or_a_baseline_must_meet_the_constraints() -> None:
    space = replace(load_space("architectures.py"), baselines=(), constraints=())
    check_constraints(space)
    check_constraints(space.where(lambda c: c.norm == "group"))
    check_constraints(replace(space.where(lambda c: False), baselines=(load_space("unet.py"),)))
    for never in (space.where(lambda c: False), space.where(lambda c: c.norm.missing)):
        with pytest.raises(UserError, match="none of 100 candidates drawn from the space meets its constraints"):
            check_constraints(never)


def test_every_option_of_the_widest_shipped_space_is_tried(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.controller import tryout

    space = load_space("multitask.py")
    monkeypatch.setattr(tryout, "MAX_SECONDS", 1e9)
    tried: list[Any] = []
    tryout.check_options(space, tried.append)
    assert len(tried) < 20
    for field in ("decoder", "method", "loss", "optimizer", "schedule"):
        assert {type(getattr(c, field)) for c in tried} == {type(option) for option in getattr(space, field).options}
    assert {c.norm for c in tried} == {"batch", "instance", "layer", "group", "switch"}
    assert {stage.width for c in tried for stage in c.encoder.stages} == {16, 24, 32, 48, 64, 96, 128}
    assert len({type(task) for c in tried for task in c.pretext}) == 5
    assert cost(tried[0], data.size, len(data.classes)).params > 0


def test_trying_options_leaves_the_random_numbers_of_the_search_unchanged(data: Any) -> None:
    import torch

    from nas.controller.tryout import take_a_step

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    take_a_step(load_space("unet.py"), data)
    assert torch.equal(torch.rand(3), expected)
