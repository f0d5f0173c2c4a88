"""MeanTeacher, CutMix and S4GAN against their formulas."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.space import SpaceError
from nas.tasks import S4GAN, CutMix, MeanTeacher
from nas.tasks.methods.adversary import Adversary, Discriminator, feature_matching
from nas.tasks.methods.mean_teacher import ramp
from nas.tasks.methods.mixing import boxes
from nas.tasks.methods.pass_rate import PassRateMonitor
from nas.tasks.methods.s4gan import passing, self_training, truth_map
from nas.tasks.methods.strong_view import strong_view
from nas.tasks.methods.teacher import Teacher
from nas.training.batch import Batch
from tests.contracts.stand_in import TinyNetwork


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(unlabelled: Tensor, seed: int = 0) -> Batch:
    images = torch.rand(2, 3, *unlabelled.shape[-2:], generator=rng(9))
    return Batch(images, torch.zeros(2, *unlabelled.shape[-2:], dtype=torch.long), unlabelled, rng(seed))


class Pixelwise(nn.Module):
    """A network that classifies each pixel separately, so that mixing commutes with it. Records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.heads = nn.ModuleDict()
        self.seen: list[Tensor] = []
        with torch.no_grad():
            self.layer.weight.copy_(8 * torch.randn(4, 3, 1, 1, generator=rng(5)))
            self.layer.bias.zero_()  # type: ignore[union-attr]

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return self.layer(images)


def test_the_teacher_averages_weights_and_buffers() -> None:
    network = TinyNetwork()
    own = MeanTeacher(decay=0.15).build(network, 4)  # type: ignore[arg-type]
    assert isinstance(own, Teacher)
    names = ["stages.0.0.weight", "stages.1.1.running_mean", "stages.1.1.running_var", "sides.2.bias"]
    expected = {name: network.state_dict()[name].double().clone() for name in names}
    for step in range(4):
        network.train()(torch.rand(2, 3, 8, 8, generator=rng(step)))
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn(p.shape, generator=rng(step)))
        decay = min(0.15, (step + 1) / (step + 10))
        for name in names:
            expected[name] = decay * expected[name] + (1 - decay) * network.state_dict()[name]
        MeanTeacher().update(own, network, batch_of(torch.rand(1, 3, 8, 8)), step)  # type: ignore[arg-type]
    averaged = own.network.state_dict()
    for name in names:
        assert torch.allclose(averaged[name].double(), expected[name], atol=1e-5)
    assert averaged["stages.0.1.num_batches_tracked"] == network.state_dict()["stages.0.1.num_batches_tracked"]


def test_the_teacher_stays_in_evaluation_mode() -> None:
    teacher = Teacher(TinyNetwork(), 0.9).train()  # type: ignore[arg-type]
    images = torch.rand(3, 3, 8, 8)
    together = teacher.predict(images)
    assert not any(module.training for module in teacher.modules())
    assert torch.allclose(together[:1], teacher.predict(images[:1]), atol=1e-6)
    assert torch.allclose(together.sum(1), torch.ones(3, 8, 8), atol=1e-5)


def test_the_ramp() -> None:
    assert ramp(0.0, 0.3) == pytest.approx(math.exp(-5))
    assert ramp(0.15, 0.3) == pytest.approx(math.exp(-1.25))
    assert ramp(0.3, 0.3) == ramp(0.9, 0.3) == ramp(0.0, 0.0) == 1.0


def test_mean_teacher_compares_a_strong_with_a_weak_view() -> None:
    network = Pixelwise()
    method = MeanTeacher(weight=2.0, rampup=0.5)
    own = method.build(network, 4)  # type: ignore[arg-type]
    with torch.no_grad():
        network.layer.weight.mul_(0.5)
    images = torch.rand(3, 3, 6, 7, generator=rng())
    batch = batch_of(images, seed=4)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.25)  # type: ignore[arg-type]
    strong = strong_view(images, rng(4))
    student = network.layer(strong).softmax(1).detach().double().numpy()
    teacher = (2 * network.layer(images)).softmax(1).detach().double().numpy()
    difference = ((student - teacher) ** 2).sum(1).mean()
    assert torch.equal(network.seen[-1], strong)
    assert own is not None and torch.equal(own.network.seen[-1], images)
    assert logged["loss.consistency"] == pytest.approx(difference, rel=1e-4)
    assert added.item() == pytest.approx(2 * math.exp(-1.25) * difference, rel=1e-4)


def test_strong_views_change_colours_within_range() -> None:
    images = torch.rand(8, 3, 16, 16, generator=rng())
    before = images.clone()
    strong = strong_view(images, rng())
    assert torch.equal(images, before)
    assert strong.min() >= 0 and strong.max() <= 1
    assert ((strong - images).abs().mean((1, 2, 3)) > 0.02).all()
    flat = lambda x: (x - x.mean((1, 2, 3), keepdim=True)).flatten(1)  # noqa: E731
    assert (F.cosine_similarity(flat(strong), flat(images)) > 0.6).all()


def test_strong_views_do_not_update_running_statistics() -> None:
    network = TinyNetwork()
    method = MeanTeacher()
    own = method.build(network, 4)  # type: ignore[arg-type]
    batch = batch_of(torch.rand(2, 3, 8, 8))
    logits = network(batch.images)
    before = network.stages[0][1].running_mean.clone()
    method.loss(own, network, batch, logits, 0.5)  # type: ignore[arg-type]
    assert torch.equal(before, network.stages[0][1].running_mean)


@pytest.mark.parametrize("size", [(40, 40), (30, 64)])
def test_boxes_have_half_the_area(size: tuple[int, int]) -> None:
    found = boxes(200, *size, rng())
    assert found.shape == (200, 1, *size)
    shares = found.float().mean((1, 2, 3))
    assert (shares - 0.5).abs().max() < 0.03
    for box in found[:20, 0]:
        rows, columns = box.any(1).sum(), box.any(0).sum()
        assert box.sum() == rows * columns
        assert rows >= size[0] // 2 - 1 and columns >= size[1] // 2 - 1
    assert found.any(0).any(1).all() and found.any(0).any(2).all()  # every column, every row
    assert boxes(3, 1, 1, rng()).shape == (3, 1, 1, 1)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("target", ["soft", "hard"])
def test_cutmix_mixes_images_and_predictions_with_the_same_boxes(count: int, target: str) -> None:
    network = Pixelwise()
    method = CutMix(confidence=0.99, weight=3.0, target=target)
    own = method.build(network, 4)  # type: ignore[arg-type]
    with torch.no_grad():
        network.layer.weight.mul_(0.5)
    images = torch.rand(count, 3, 8, 10, generator=rng())
    batch = batch_of(images, seed=4)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.1)  # type: ignore[arg-type]

    box = boxes(count, 8, 10, rng(4)).numpy()
    pictures = images.numpy()
    partner = pictures[[count - 1, *range(count - 1)]] if count > 1 else pictures[..., ::-1]
    mixed = np.where(box, partner, pictures)
    assert np.array_equal(network.seen[-1].numpy(), mixed)
    # The network is pixelwise, so mixed predictions are the predictions of mixed images.
    logits = network.layer(torch.from_numpy(mixed.copy())).detach().double()
    student, teacher = logits.softmax(1).numpy(), (2 * logits).softmax(1).numpy()
    confident = (teacher.max(1) > 0.99).mean()
    if target == "soft":
        difference = ((student - teacher) ** 2).sum(1).mean()
    else:
        difference = -np.log(np.take_along_axis(student, teacher.argmax(1)[:, None], 1)).mean()
    assert 0 < confident < 1
    assert logged["confident"] == pytest.approx(confident)
    assert added.item() == pytest.approx(3 * confident * difference, rel=1e-4)


def test_truth_maps_contain_the_prediction_where_void() -> None:
    logits = torch.randn(1, 3, 1, 3, generator=rng(), requires_grad=True)
    found = truth_map(torch.tensor([[[2, 255, 0]]]), logits)
    assert not found.requires_grad
    assert found[0, :, 0, 0].tolist() == [0, 0, 1]
    assert found[0, :, 0, 2].tolist() == [1, 0, 0]
    exponentials = np.exp(logits[0, :, 0, 1].detach().numpy())
    assert np.allclose(found[0, :, 0, 1].numpy(), exponentials / exponentials.sum(), atol=1e-6)


def test_feature_matching_by_hand() -> None:
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 5.0]])
    assert feature_matching(real, fake).item() == pytest.approx((abs(2 - 0) + abs(3 - 5)) / 2)


def test_self_training_learns_only_from_images_that_passed() -> None:
    logits = torch.randn(3, 4, 5, 5, generator=rng(), requires_grad=True)
    value = self_training(logits, torch.tensor([True, False, True]))
    value.backward()
    probabilities = logits.detach().softmax(1).numpy()
    per_image = -np.log(probabilities.max(1)).mean((1, 2))
    assert value.item() == pytest.approx((per_image[0] + per_image[2]) / 2, rel=1e-5)
    assert logits.grad is not None and not logits.grad[1].any() and logits.grad[2].any()
    assert self_training(logits, torch.zeros(3, dtype=torch.bool)).item() == 0


@pytest.mark.parametrize("adversarial", ["matching", "bce"])
@pytest.mark.parametrize("threshold, rate", [(0.0, 1.0), (1.0, 0.0)])
def test_s4gan_adds_two_losses(threshold: float, rate: float, adversarial: str) -> None:
    network = Pixelwise()
    method = S4GAN(threshold=threshold, matching=0.5, self_training=2.0, adversarial=adversarial)
    own = method.build(network, 4)  # type: ignore[arg-type]
    assert isinstance(own, Adversary)
    batch = batch_of(torch.rand(3, 3, 20, 16, generator=rng()))
    predicted, real, fake = maps_of(network, batch)
    discriminator, dropout = copy.deepcopy(own.discriminator), rng()
    pooled_real, _ = discriminator(real, dropout)
    pooled_fake, on_fake = discriminator(fake, dropout)
    added, logged = method.loss(own, network, batch, network(batch.images), 0.5)  # type: ignore[arg-type]
    if adversarial == "matching":
        term = (pooled_real.mean(0) - pooled_fake.mean(0)).abs().mean()
    else:
        term = F.binary_cross_entropy(on_fake.sigmoid(), torch.ones(3))
    training = -predicted.log_softmax(1).amax(1).mean() * rate
    assert logged["pass_rate"] == rate
    assert logged[f"loss.{adversarial}"] == pytest.approx(term.item(), rel=1e-4)
    assert added.item() == pytest.approx((0.5 * term + 2 * training).item(), rel=1e-4)

    (gradient,) = torch.autograd.grad(added, network.layer.weight)
    (expected,) = torch.autograd.grad(0.5 * term + 2 * training, network.layer.weight)
    assert expected.any()
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-6)


def maps_of(network: Pixelwise, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the unlabelled images, and the real and fake maps that the discriminator scores."""

    def stretched(images: Tensor) -> Tensor:
        return torch.stack([(i - i.min()) / (i.max() - i.min()) for i in images])

    assert batch.unlabelled is not None
    predicted = network.layer(batch.unlabelled)
    real = torch.cat([stretched(batch.images), F.one_hot(batch.masks, 4).permute(0, 3, 1, 2)], 1)
    return predicted, real, torch.cat([stretched(batch.unlabelled), predicted.softmax(1)], 1)


def bce_of_discriminator(discriminator: Discriminator, real: Tensor, fake: Tensor, seed: int) -> Tensor:
    """Binary cross-entropy of two real maps as 1 and three fake ones as 0; both kinds have the same weight."""
    dropout = rng(seed)
    scores = torch.cat([discriminator(maps.detach(), dropout)[1] for maps in (real, fake)]).sigmoid()
    weights = torch.cat([torch.full((2,), 1 / 4), torch.full((3,), 1 / 6)])
    return F.binary_cross_entropy(scores, torch.tensor([1.0, 1, 0, 0, 0]), weight=weights, reduction="sum")


@pytest.mark.parametrize("adversarial", ["matching", "bce"])
def test_the_discriminators_gradients_are_those_of_its_cross_entropy(adversarial: str) -> None:
    network, adversary = Pixelwise(), Adversary(4, 1e-4)
    _, real, fake = maps_of(network, batch_of(torch.rand(3, 3, 20, 16, generator=rng())))
    judgement = adversary.judge(real, fake[:, :3], fake[:, 3:], adversarial, rng(2))
    adversary.discriminator.requires_grad_(True)
    loss = bce_of_discriminator(adversary.discriminator, real, fake, seed=2)
    expected = torch.autograd.grad(loss, list(adversary.discriminator.parameters()))
    for found, gradient in zip(judgement.weight_gradients, expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-6)


def test_s4gan_equals_alternating_updates_over_five_steps() -> None:
    """In the reference, the network learns through the discriminator, which takes its own step afterwards."""
    method = S4GAN(threshold=1.0, matching=0.5, lr=1e-3)
    networks = Pixelwise(), Pixelwise()
    own = method.build(networks[0], 4)  # type: ignore[arg-type]
    assert isinstance(own, Adversary)
    discriminator = copy.deepcopy(own.discriminator)
    ours, theirs = (torch.optim.SGD(network.parameters(), lr=10.0) for network in networks)
    adam = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.9, 0.99))
    for step in range(5):
        batch = batch_of(torch.rand(3, 3, 20, 16, generator=rng(step)), seed=step)
        added, _ = method.loss(own, networks[0], batch, networks[0](batch.images), 0.5)  # type: ignore[arg-type]
        ours.zero_grad()
        added.backward()
        ours.step()
        method.update(own, networks[0], batch, step)  # type: ignore[arg-type]

        _, real, fake = maps_of(networks[1], batch)
        dropout = rng(step)
        features = [discriminator(maps, dropout)[0].mean(0) for maps in (real, fake)]
        theirs.zero_grad()
        loss = 0.5 * (features[0] - features[1]).abs().mean()
        loss.backward()
        theirs.step()
        discriminator.requires_grad_(True)
        adam.zero_grad()
        bce_of_discriminator(discriminator, real, fake, seed=step).backward()
        adam.step()
        discriminator.requires_grad_(False)
        assert added.item() == pytest.approx(loss.item(), rel=1e-4)
    assert not torch.allclose(networks[0].layer.weight, Pixelwise().layer.weight, atol=1e-4)
    torch.testing.assert_close(networks[0].state_dict(), networks[1].state_dict(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(own.discriminator.state_dict(), discriminator.state_dict(), rtol=1e-3, atol=1e-4)


def test_the_discriminator_sees_no_jittered_colours() -> None:
    """Only labelled images are jittered, so that colours would reveal them."""
    plain = batch_of(torch.rand(3, 3, 20, 16, generator=rng()))
    jittered = replace(plain, images=plain.images.flip(1).contiguous(), plain=plain.images)
    network = Pixelwise()
    owns = [S4GAN().build(network, 4)]  # type: ignore[arg-type]
    owns.append(copy.deepcopy(owns[0]))
    for own, batch in zip(owns, (plain, jittered), strict=True):
        S4GAN().loss(own, network, replace(batch, generator=rng()), network(batch.images), 0.5)  # type: ignore[arg-type]
    torch.testing.assert_close(owns[0].state_dict(), owns[1].state_dict())


def test_passing_a_threshold_or_a_quantile() -> None:
    scores = torch.tensor([0.1, 0.4, 0.3, 0.2])
    assert passing(scores, 0.25, "absolute").tolist() == [False, True, True, False]
    assert passing(scores, 0.4, "absolute").tolist() == [False] * 4
    assert passing(scores, 0.6, "quantile").tolist() == [False, True, True, False]
    assert passing(scores, 1.0, "quantile").tolist() == [False, True, False, False]
    assert passing(scores, 0.0, "quantile").all()
    assert passing(scores[:1], 0.9, "quantile").tolist() == [True]


def test_some_predictions_pass_a_quantile_even_with_low_scores() -> None:
    network = Pixelwise()
    batch = batch_of(torch.rand(4, 3, 20, 16, generator=rng()))
    for kind, rate in (("absolute", 0.0), ("quantile", 0.5)):
        method = S4GAN(threshold=0.6, threshold_kind=kind)
        own = method.build(network, 4)  # type: ignore[arg-type]
        assert isinstance(own, Adversary)
        with torch.no_grad():
            own.discriminator.score.bias.fill_(-5)
        _, logged = method.loss(own, network, batch, network(batch.images), 0.5)  # type: ignore[arg-type]
        assert logged["pass_rate"] == rate


def test_s4gan_warns_of_few_labels() -> None:
    assert S4GAN().advice(5, 95) is None
    advice = S4GAN().advice(12, 388)
    assert advice == "S4GAN collapses under about 5 % labels; labelled here: 12 of 400 images"
    assert "no unlabelled images" in str(S4GAN().advice(12, 0))


def test_the_discriminator_has_the_published_shape() -> None:
    discriminator = Discriminator(classes=5)
    shapes = [(c.in_channels, c.out_channels, c.kernel_size, c.stride) for c in discriminator.convolutions]
    assert shapes == [(i, o, (4, 4), (2, 2)) for i, o in ((8, 64), (64, 128), (128, 256), (256, 512))]
    features, scores = discriminator(torch.rand(2, 8, 32, 48))
    assert features.shape == (2, 512) and scores.shape == (2,)
    assert torch.isfinite(discriminator(torch.rand(1, 8, 3, 5))[1]).all()
    dropped = discriminator(torch.rand(2, 8, 32, 48), rng())[0]
    assert dropped.shape == (2, 512)


def test_the_discriminator_halves_its_input_four_times() -> None:
    discriminator = Discriminator(classes=4)
    shapes: list[tuple[int, ...]] = []
    for convolution in discriminator.convolutions:
        convolution.register_forward_hook(lambda _, __, made: shapes.append(tuple(made.shape[1:])))
    discriminator(torch.rand(1, 7, 322, 792))
    assert shapes == [(64, 161, 396), (128, 80, 198), (256, 40, 99), (512, 20, 49)]


def test_the_discriminator_learns_to_separate_true_and_predicted_maps() -> None:
    torch.manual_seed(0)
    network = Pixelwise()
    with torch.no_grad():
        network.layer.weight.mul_(0.01)
    method = S4GAN(lr=1e-3)
    own = method.build(network, 4)  # type: ignore[arg-type]
    assert isinstance(own, Adversary)
    batch = batch_of(torch.rand(2, 3, 16, 16, generator=rng()))
    for step in range(30):
        method.loss(own, network, batch, network(batch.images), 0.5)  # type: ignore[arg-type]
        method.update(own, network, batch, step)  # type: ignore[arg-type]
    assert batch.unlabelled is not None
    truth = F.one_hot(batch.masks, 4).permute(0, 3, 1, 2)
    maps = ((batch.images, truth), (batch.unlabelled, network(batch.unlabelled).softmax(1)))
    real, fake = (own.discriminator(torch.cat(pair, 1))[1].sigmoid() for pair in maps)
    assert real.min() > 0.6 and fake.max() < 0.4
    assert network.layer.weight.grad is None


def test_the_discriminator_does_not_change_without_unlabelled_images() -> None:
    network = Pixelwise()
    own = S4GAN().build(network, 4)  # type: ignore[arg-type]
    assert own is not None
    before = [p.clone() for p in own.parameters()]
    batch = replace(batch_of(torch.rand(1, 3, 16, 16)), unlabelled=None)
    S4GAN().loss(own, network, batch, network(batch.images), 0.5)  # type: ignore[arg-type]
    S4GAN().update(own, network, batch, 0)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, own.parameters(), strict=True))


def test_a_pass_rate_of_0_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    monitor = PassRateMonitor()
    with caplog.at_level(logging.WARNING):
        for rate in [0.0] * 99 + [0.5] + [0.0] * 150:
            monitor.add(torch.tensor(rate), "absolute threshold 0.6")
    assert [r.getMessage() for r in caplog.records] == [
        "S4GAN: none of the predictions passed the absolute threshold 0.6 for 100 steps; "
        'self-training is idle, lower it or use threshold_kind="quantile"'
    ]


def test_pass_rates_of_0_and_1_are_counted_separately(caplog: pytest.LogCaptureFixture) -> None:
    monitor = PassRateMonitor()
    with caplog.at_level(logging.WARNING):
        for rate in [0.0, 1.0] * 100 + [0.0] * 60 + [1.0] * 99 + [0.5] * 11:
            monitor.add(torch.tensor(rate), "absolute threshold 0.6")
        assert not caplog.records
        for _ in range(150):
            monitor.add(torch.tensor(1.0), "absolute threshold 0.6")
    assert [r.getMessage() for r in caplog.records] == [
        "S4GAN: all of the predictions passed the absolute threshold 0.6 for 100 steps; "
        "self-training filters nothing, raise it or unlabelled_batch"
    ]


@pytest.mark.parametrize(
    "method",
    [
        MeanTeacher(decay=1.5),
        MeanTeacher(rampup=2),
        CutMix(confidence=-1),
        CutMix(target="x"),
        S4GAN(threshold=2),
        S4GAN(lr=-1),
        S4GAN(threshold_kind="x"),
        S4GAN(adversarial="x"),
    ],
)
def test_an_invalid_setting_is_refused(method: MeanTeacher) -> None:
    with pytest.raises(SpaceError, match=r"^method\.\w+ is .*: use (a number|one of) .*$"):
        method.build(TinyNetwork(), 4)  # type: ignore[arg-type]
