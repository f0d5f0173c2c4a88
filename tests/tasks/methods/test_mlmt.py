"""The classification branch and its veto: contract, formulas, checkpoints and exports."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nas.cli import evaluate
from nas.cli.veto import veto_table
from nas.export import Predictor, Preprocessing, WindowPredictor, export, load_checkpoint, save_checkpoint
from nas.export.predict import VETOED, upsampled_classes
from nas.models import Encoder, Network, Plain, Stage, UNet, build_network, running_statistics_frozen
from nas.space import Choice, Float, Recipe, SpaceError, close, from_json, to_json
from nas.tasks import CPS, MLMT, S4GAN, CrossEntropy, CutMix, Fusion, MeanTeacher, Supervised
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.mlmt import Branch, classification_loss, present
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.veto import VetoCounts, Vetoed, permitted
from nas.training import Adam, Augment, Constant, Plan, train
from tests.contracts.method_contract import CLASSES, MethodContract, make_batch


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def recipe(method: Any = None) -> Recipe:
    stages = (Stage(Plain(convs=1), 4), Stage(Plain(convs=1), 6))
    return Recipe(
        encoder=Encoder(stages),
        decoder=UNet(block=Plain(convs=1)),
        loss=CrossEntropy(),
        method=method,
        optimizer=Adam(lr=0.01),
        schedule=Constant(),
        augment=Augment(),
        labelled_batch=2,
        unlabelled_batch=2,
    )


def small_network() -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(recipe(), CLASSES)


class BranchContract(MethodContract):
    """The contract with a network of a recipe, which has an encoder."""

    def network(self) -> Any:
        network = small_network()
        network.heads["Pretext"] = nn.BatchNorm1d(2)
        return network


class TestMLMT(BranchContract):
    def method(self) -> Any:
        return MLMT()


class TestFusion(BranchContract):
    def method(self) -> Any:
        return Fusion(S4GAN(threshold=0.3))


class TestFusionWithMeanTeacher(BranchContract):
    def method(self) -> Any:
        return Fusion(MeanTeacher())


def test_the_classes_in_a_mask() -> None:
    masks = torch.tensor([[[0, 255], [2, 2]], [[255, 255], [255, 255]], [[1, 3], [0, 1]]])
    assert present(masks, 4).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 1]]


def test_the_classification_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, -1.0], [5.0, 5.0], [0.5, 3.0]], requires_grad=True)
    masks = torch.tensor([[[0, 255]], [[255, 255]], [[1, 1]]])
    s = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    first = -(math.log(s(2.0)) + math.log(1 - s(-1.0))) / 2
    third = -(math.log(1 - s(0.5)) + math.log(s(3.0))) / 2
    loss = classification_loss(logits, masks)
    assert loss.item() == pytest.approx((first + third) / 2, rel=1e-5)
    loss.backward()
    assert logits.grad is not None and not logits.grad[1].any()
    assert classification_loss(logits, torch.full_like(masks, 255)).item() == 0.0


def test_the_branch_adds_classification_and_consistency_losses() -> None:
    network = small_network()
    method = MLMT(weight=3.0, rampup=0.5)
    own = method.build(network, CLASSES)
    assert isinstance(own, Branch)
    with torch.no_grad():
        own.head.weight.mul_(4)
        own.head.bias.add_(1)
    batch = make_batch(seed=4)
    added, logged = method.loss(own, network, batch, network(batch.images).detach(), 0.25)

    views = make_batch(seed=4)
    assert views.unlabelled is not None
    one, other = strong_view(views.unlabelled, views.generator), strong_view(views.unlabelled, views.generator)
    with torch.no_grad(), running_statistics_frozen(network):
        student = (network.features(one)[-1].mean((2, 3)) @ own.head.weight.T + own.head.bias).sigmoid()
        labelled = network.features(batch.images)[-1].mean((2, 3)) @ own.head.weight.T + own.head.bias
        averaged = own.teacher.network
        teacher = (
            averaged.features(other)[-1].mean((2, 3)) @ own.teacher.head.weight.T + own.teacher.head.bias
        ).sigmoid()
    difference = ((student - teacher) ** 2).mean().item()
    targets = torch.stack([(batch.masks == k).flatten(1).any(1) for k in range(CLASSES)], 1).float()
    classification = F.binary_cross_entropy(labelled.sigmoid(), targets).item()
    assert logged["loss.branch"] == pytest.approx(classification, rel=1e-4)
    assert logged["loss.branch_consistency"] == pytest.approx(difference, rel=1e-4)
    assert added.item() == pytest.approx(classification + 3 * math.exp(-5 * 0.25) * difference, rel=1e-4)
    assert ramp(0.25, 0.5) == pytest.approx(math.exp(-5 * 0.25))


def test_the_teacher_averages_encoder_and_head() -> None:
    network, method = small_network(), MLMT(decay=0.15)
    own = method.build(network, CLASSES)
    assert isinstance(own, Branch)
    batch = make_batch()
    student = {"encoder": network.encoder, "head": own.head}
    teacher = {"encoder": own.teacher.network.encoder, "head": own.teacher.head}
    expected = {k: {n: t.double().clone() for n, t in m.state_dict().items()} for k, m in student.items()}
    for step in range(3):
        network.train()(torch.rand(2, 3, 8, 8, generator=rng(step)))
        with torch.no_grad():
            for p in (*network.parameters(), *own.head.parameters()):
                p.add_(torch.randn(p.shape, generator=rng(step)))
        method.update(own, network, batch, step)
        decay = min(0.15, (step + 1) / (step + 10))
        for kind, module in student.items():
            for name, tensor in module.state_dict().items():
                expected[kind][name] = decay * expected[kind][name] + (1 - decay) * tensor.double()
    compared = 0
    for kind, module in teacher.items():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor.double(), expected[kind][name], rtol=1e-4, atol=1e-5)
                compared += 1
    assert compared > 6 and any("running_var" in name for name in expected["encoder"])
    assert int(own.updates) == 3


def test_classes_permitted_by_a_threshold() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.9], [0.1, 0.05, 0.19], [0.0, 0.0, 0.2]])
    assert permitted(scores, 0.2).tolist() == [[False, True, True], [True, True, True], [False, False, True]]
    assert permitted(scores, 0.0).all()
    assert permitted(torch.full((1, 3), math.nan), 0.2).all()


def biased(network: Network, *bias: float) -> Vetoed:
    """The network with a veto by a branch whose logits are `bias` for every image."""
    branch = Branch(network, CLASSES)
    with torch.no_grad():
        branch.teacher.head.weight.zero_()
        branch.teacher.head.bias.copy_(torch.tensor(bias))
    branch.updates += 1
    return branch.vetoed(network, 0.2)


def test_a_vetoed_class_is_never_predicted() -> None:
    network = small_network().eval()
    with torch.no_grad():
        network.classifier.weight.mul_(0.01)  # type: ignore[operator, union-attr]
        network.classifier.bias.copy_(torch.tensor([5.0, -9.0, -4.0, 6.0]))  # type: ignore[operator, union-attr]
    vetoed = biased(network, -5.0, 2.0, 2.0, -1.5)
    images = torch.rand(2, 3, 20, 24, generator=rng())
    with torch.no_grad():
        logits = vetoed(images)
        plain = network(images)
    assert (plain.argmax(1) == 3).all() and (logits.argmax(1) == 2).all()
    assert torch.isneginf(logits[:, [0, 3]]).all()
    assert torch.equal(logits[:, [1, 2]], plain[:, [1, 2]])
    assert torch.equal(vetoed.segment(images), plain)


def test_each_image_has_its_own_veto() -> None:
    network = small_network().eval()
    branch = Branch(network, CLASSES)
    branch.updates += 1
    vetoed = branch.vetoed(network, 0.2)
    images = torch.rand(6, 3, 20, 24, generator=rng()) * torch.linspace(0.1, 1, 6).view(6, 1, 1, 1)
    with torch.no_grad():
        branch.teacher.head.bias.sub_(branch.teacher(images).mean(0) + 1.386)
        together = vetoed(images)
        alone = torch.cat([vetoed(image[None]) for image in images])
    assert 0 < torch.isneginf(together[:, :, 0, 0]).sum() < 24
    torch.testing.assert_close(together, alone)


def test_there_is_no_veto_before_the_branch_is_trained() -> None:
    for method in (MLMT(), Fusion()):
        network = small_network()
        own = method.build(network, CLASSES)
        predictor = method.predictor(own, network).eval()
        images = make_batch().images
        with torch.no_grad():
            for p in own.parameters():
                p.fill_(-9)
            assert torch.equal(predictor(images), network.eval()(images))


def test_the_predictor_of_a_fusion_is_the_methods_predictor_with_the_veto() -> None:
    network = small_network()
    method = Fusion(MeanTeacher(), MLMT(threshold=0.4))
    own = method.build(network, CLASSES)
    optimizer = torch.optim.SGD([*network.parameters(), *own.branch.head.parameters()], lr=0.2)
    for step in range(4):
        batch = make_batch(seed=step)
        logits = network(batch.images)
        added, logged = method.loss(own, network, batch, logits, 0.5)
        optimizer.zero_grad()
        (added + F.cross_entropy(logits, batch.masks, ignore_index=255)).backward()
        optimizer.step()
        method.update(own, network, batch, step)
    assert {"loss.consistency", "loss.branch", "loss.branch_consistency"} <= logged.keys()
    with torch.no_grad():
        own.branch.teacher.head.bias[1] = -9
        images = make_batch(seed=9).images
        expected = own.segmentation.network(images)
        scores = own.branch.teacher(images).sigmoid()
        expected = torch.where((scores < 0.4)[:, :, None, None], torch.tensor(-math.inf), expected)
        found = method.predictor(own, network)(images)
    assert torch.isneginf(found[:, 1]).all() and torch.isfinite(found).any()
    assert torch.equal(found, expected)
    assert not own.branch.teacher.training and network.training


def test_the_losses_of_a_fusion_are_added() -> None:
    parts = (MeanTeacher(), MLMT())
    ends = []
    for methods in ((Fusion(*parts),), parts):
        network, batch = small_network(), make_batch()
        logits = network(batch.images)
        torch.manual_seed(3)
        owned = [method.build(network, CLASSES) for method in methods]
        losses = [m.loss(own, network, batch, logits, 0.5)[0] for m, own in zip(methods, owned, strict=True)]
        ends.append(sum(loss.item() for loss in losses))
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


@pytest.mark.parametrize("method", [MLMT(threshold=2), MLMT(decay=-1)], ids=repr)
def test_an_invalid_setting_gets_a_one_line_error(method: Any) -> None:
    with pytest.raises(SpaceError, match=r"^method\.\w+ is .*: use a number from 0 to 1$"):
        method.build(small_network(), CLASSES)


@pytest.mark.parametrize(
    "parts",
    [
        {"branch": Supervised()},
        {"branch": Choice(MLMT(), CutMix())},
        {"segmentation": MLMT()},
        {"segmentation": Fusion()},
        {"segmentation": Choice(S4GAN(), MLMT())},
        {"segmentation": None},
    ],
    ids=repr,
)
def test_a_fusion_of_unsuitable_parts_gets_a_one_line_error(parts: dict[str, Any]) -> None:
    with pytest.raises(SpaceError, match=r"^Fusion: .*must be.*$"):
        Fusion(**parts)


def test_a_fusion_has_the_advice_of_its_method() -> None:
    assert Fusion().advice(12, 388) == S4GAN().advice(12, 388)
    assert Fusion(Supervised()).advice(12, 388) is None
    assert str(Fusion().advice(12, 0)).endswith("trains as supervised, without a veto")


def test_a_fusion_may_be_open_and_survives_json() -> None:
    space = recipe(Fusion(Choice(Supervised(), S4GAN(threshold=Float(0.5, 0.9))), MLMT(threshold=Float(0.1, 0.3))))
    closed = close(space, lambda path, domain: "S4GAN" if isinstance(domain, Choice) else domain.lo)
    assert closed.method == Fusion(S4GAN(threshold=0.5), MLMT(threshold=0.1))
    assert from_json(to_json(closed)).method == closed.method


class Part:
    def __init__(self, count: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.masks = np.zeros((count, 24, 32), np.uint8)
        for mask in self.masks:
            mask[:, 16:] = generator.integers(1, 3)
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
        self.images = (colours[self.masks] + generator.normal(0, 10, (count, 24, 32, 3))).clip(0, 255).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.images)


class TwoOfThree:
    """Images of ground and one of two other classes."""

    classes = ("ground", "left", "right", "absent")
    labelled, unlabelled, validation = Part(4, 0), Part(6, 1), Part(4, 2)
    shifted = False


@pytest.mark.parametrize("method", [MLMT(), Fusion(), Fusion(CutMix()), Fusion(Supervised()), Fusion(CPS())], ids=repr)
def test_a_trained_network_survives_a_checkpoint_exactly(method: Any, tmp_path: Path) -> None:
    trained = train(recipe(method), TwoOfThree(), Plan(steps=4, rungs=(2, 4)))  # type: ignore[arg-type]
    path = tmp_path / "best.safetensors"
    with torch.no_grad():
        trained.network.image_classifier.head.bias[3] = -9  # type: ignore[union-attr, index, operator]
    save_checkpoint(path, trained.network, recipe(method), TwoOfThree(), {}, {})  # type: ignore[arg-type]
    network = load_checkpoint(path).network
    images = torch.rand(2, 3, 24, 32, generator=rng())
    planar = trained.network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with torch.no_grad():
        found, expected = network(images), planar(images)
    assert isinstance(network, Vetoed) and float(network.threshold) == pytest.approx(0.2)
    assert torch.isneginf(found[:, 3]).all() and torch.isfinite(found[:, 0]).any()
    assert torch.equal(found, expected)


@pytest.fixture
def vetoing(tmp_path: Path) -> Path:
    """A checkpoint that vetoes classes 1 and 3 everywhere."""
    network = biased(small_network().eval(), 3.0, -3.0, 3.0, -3.0)
    path = tmp_path / "vetoing.safetensors"
    save_checkpoint(path, network, recipe(MLMT()), TwoOfThree(), {}, {})  # type: ignore[arg-type]
    return path


def test_pt2_export(vetoing: Path) -> None:
    exported = export(vetoing, "pt2")
    module = torch.export.load(exported.file).module()
    images = torch.rand(2, 3, 24, 32, generator=rng())
    with torch.no_grad():
        torch.testing.assert_close(module(images), load_checkpoint(vetoing).network(images))


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_onnx_export(vetoing: Path) -> None:
    import onnxruntime

    exported = export(vetoing, "onnx")
    session = onnxruntime.InferenceSession(str(exported.file), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, 24, 32, generator=rng())
    (logits,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = load_checkpoint(vetoing).network(images)
    assert np.isneginf(logits[:, [1, 3]]).all() and np.isfinite(logits[:, [0, 2]]).all()
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(24, 32), (48, 64), (37, 150), (1, 1)])
def test_photos_are_predicted_with_the_veto(vetoing: Path, shape: tuple[int, int]) -> None:
    loaded = load_checkpoint(vetoing)
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for predictor in (Predictor.of(loaded), WindowPredictor.of(loaded)):
        assert torch.isfinite(predictor.logits(photo)).all()
        assert set(np.unique(predictor.predict(photo))) <= {0, 2}


class ByWindow(nn.Module):
    """Logits 1, 3 and 5 for three classes; dark windows veto class 2 and bright windows class 1."""

    classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.tensor([1.0, 3.0, 5.0]).view(1, 3, 1, 1).repeat(len(images), 1, *images.shape[2:])
        bright = images.mean((1, 2, 3)) > 0.5
        logits[~bright, 2] = logits[bright, 1] = -math.inf
        return logits


def test_windows_that_veto_a_class_are_left_out_of_its_average() -> None:
    photo = np.zeros((8, 14, 3), np.uint8)
    photo[:, 7:] = 255
    logits = WindowPredictor(ByWindow(), Preprocessing((8, 8))).logits(photo)  # type: ignore[arg-type]
    # Windows cover columns 0 to 7 and 6 to 13, and overlap in columns 6 and 7.
    assert logits[0].unique().tolist() == [1.0]
    assert logits[1, 0].tolist() == [3.0] * 8 + [VETOED] * 6
    assert logits[2, 0].tolist() == [VETOED] * 6 + [5.0] * 8
    # Interpolation between a logit and a veto is a veto.
    assert upsampled_classes(logits, (16, 28))[0].tolist() == [1] * 13 + [2] * 15


def test_counts_of_a_veto_by_hand() -> None:
    predicted = torch.tensor([[[0, 1, 1], [2, 1, 0]], [[2, 2, 0], [1, 1, 1]]])
    labels = torch.tensor([[[0, 1, 0], [2, 255, 2]], [[2, 0, 0], [1, 0, 1]]])
    kept = torch.tensor([[True, False, True], [True, True, False]])
    counts = VetoCounts.none(3)
    counts.add(predicted, labels, kept)
    # The first image vetoes class 1: of its pixels, one is right, one wrong and one void. The second vetoes class 2:
    # one is right and one wrong.
    assert counts.images.tolist() == [0, 1, 1]
    assert counts.wrong.tolist() == [0, 1, 1]
    assert counts.right.tolist() == [0, 1, 1]
    counts.add(predicted[:1], labels[:1].to(torch.uint8), kept[:1])
    assert counts.wrong.tolist() == [0, 2, 1]


def test_the_table_of_a_veto() -> None:
    counts = VetoCounts(torch.tensor([0, 3, 2]), torch.tensor([0, 1234, 5]), torch.tensor([0, 7, 0]))
    text = veto_table(["road", "car", "x" * 90], counts)
    lines = text.splitlines()
    assert max(map(len, lines)) == 80
    assert [line.split()[-3:] for line in lines[2:4]] == [["3", "1,234", "7"], ["2", "5", "0"]]
    assert lines[-1].split() == ["all", "5", "1,239", "7"]
    assert "road" not in text
    assert veto_table(["road"], VetoCounts.none(1)) == "the veto removed no class from any image"
    assert "no veto" in veto_table(["road"], None)


def test_evaluation_shows_what_the_veto_changed(
    vetoing: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "load_split", lambda *_: TwoOfThree.validation)
    with pytest.raises(SystemExit) as ended:
        evaluate.main([str(vetoing), "--device", "cpu", "--veto"])
    shown = capsys.readouterr().out
    assert not ended.value.code and "mIoU" in shown

    images, masks = TwoOfThree.validation.images, TwoOfThree.validation.masks
    with torch.no_grad():
        plain = small_network().eval()(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).argmax(1).numpy()
    for k, name in ((1, "left"), (3, "absent")):
        wrong, right = ((plain == k) & (masks != k)).sum(), ((plain == k) & (masks == k)).sum()
        assert [name, "4", f"{wrong:,}", f"{right:,}"] in [line.split() for line in shown.splitlines()]


def test_evaluation_says_that_there_is_no_veto(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "load_split", lambda *_: TwoOfThree.validation)
    path = tmp_path / "plain.safetensors"
    untrained = Branch(small_network(), CLASSES).vetoed(small_network(), 0.2)
    for method, network in ((Supervised(), small_network()), (MLMT(), untrained)):
        save_checkpoint(path, network, recipe(method), TwoOfThree(), {}, {})  # type: ignore[arg-type]
        with pytest.raises(SystemExit):
            evaluate.main([str(path), "--device", "cpu", "--veto"])
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == veto_table((), None) and len(last) <= 80
