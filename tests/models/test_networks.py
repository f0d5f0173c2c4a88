"""Networks: every encoder with every decoder at odd sizes, and the contracts between their parts."""

from __future__ import annotations

import io
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nas.errors import UserError
from nas.models import (
    ASPP,
    FPN,
    NORMS,
    UPSAMPLING,
    Bottleneck,
    Encoder,
    Inverted,
    LinkNet,
    Norms,
    Plain,
    Residual,
    SegNet,
    Separable,
    Stage,
    SwitchNorm2d,
    UNet,
    build_network,
    make_norm,
)

batch = partial(make_norm, "batch")


def stages(*widths: int, block=None, depth: int = 1, down: str = "max") -> tuple[Stage, ...]:
    return tuple(Stage(block or Plain(convs=1), width, depth, down) for width in widths)


ENCODERS = {
    "one stage": Encoder(stages(6)),
    "one stage, stem 4": Encoder(stages(6), stem_stride=4),
    "max": Encoder(stages(4, 6, 8, block=Plain())),
    "stride": Encoder(stages(4, 6, 8, block=Residual(), depth=2, down="stride"), stem_stride=2),
    "average": Encoder(stages(4, 8, 6, 10, block=Separable(convs=1), down="average")),
    "dilated": Encoder(stages(4, 8, 8, 8, 12, block=Bottleneck(), down="stride"), stem_stride=4, output_stride=8),
    "mixed": Encoder(
        (
            Stage(Plain(kernel=5, dilation=2, activation="gelu"), 5),
            Stage(Inverted(squeeze_excite=True), 7, 2, "stride"),
            Stage(Residual(activation="silu"), 3, 1, "average"),
        )
    ),
    "deep": Encoder(stages(4, 4, 4, 4, 4, 4, 4)),
}

DECODERS = {
    **{f"UNet {up}": UNet(up=up) for up in UPSAMPLING},
    **{f"LinkNet {up}": LinkNet(up=up) for up in UPSAMPLING},
    "UNet residual": UNet(block=Residual()),
    "SegNet": SegNet(),
    "FPN": FPN(width=6),
    "ASPP": ASPP(rates=(2, 4), width=6),
    "ASPP without skip": ASPP(rates=(6, 12, 18), width=6, skip=False),
}


def network(encoder: Encoder, decoder, norm: str | Norms = "batch", classes: int = 3):
    return build_network(SimpleNamespace(encoder=encoder, decoder=decoder, norm=norm), classes)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS.keys())
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_any_encoder_fits_any_decoder_at_any_size(encoder: Encoder, decoder) -> None:
    net = network(encoder, decoder)
    for n, h, w in ((2, 33, 47), (1, 1, 1), (2, 5, 64)):
        net.zero_grad()
        logits = net(torch.rand(n, 3, h, w))
        assert logits.shape == (n, 3, h, w)
        logits.square().mean().backward()
        assert torch.isfinite(logits).all()
        for name, p in net.named_parameters():
            assert p.grad is not None, name
            assert torch.isfinite(p.grad).all(), name
    with torch.no_grad():
        assert torch.isfinite(net.eval()(torch.rand(1, 3, 17, 9))).all()


@pytest.mark.parametrize("norm", [*NORMS, Norms(encoder="switch", decoder="group")], ids=str)
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_autocast(norm: str | Norms, decoder) -> None:
    net = network(ENCODERS["max"], decoder, norm)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(torch.rand(2, 3, 19, 13))
    assert logits.dtype == torch.bfloat16
    logits.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    assert all(b.dtype == torch.float32 for name, b in net.named_buffers() if "running" in name)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_meta_device_and_channels_last(norm: str, decoder) -> None:
    with torch.device("meta"):
        net = network(ENCODERS["dilated"], decoder, norm)
        assert net(torch.rand(2, 3, 65, 40)).shape == (2, 3, 65, 40)
    real = network(ENCODERS["dilated"], decoder, norm)
    x = torch.rand(2, 3, 9, 24)
    with torch.no_grad():
        planar = real(x)
        last = real.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(planar, last, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("down", ["max", "stride", "average"])
@pytest.mark.parametrize(
    ("stem", "output", "reductions", "dilations"),
    [
        (1, 8, [1, 2, 4, 8, 8, 8], [1, 1, 1, 1, 2, 4]),
        (1, 16, [1, 2, 4, 8, 16, 16], [1, 1, 1, 1, 1, 2]),
        (1, 32, [1, 2, 4, 8, 16, 32], [1, 1, 1, 1, 1, 1]),
        (2, 8, [2, 4, 8, 8, 8, 8], [1, 1, 1, 2, 4, 8]),
        (4, 16, [4, 8, 16, 16, 16, 16], [1, 1, 1, 2, 4, 8]),
        (4, 32, [4, 8, 16, 32, 32, 32], [1, 1, 1, 1, 2, 4]),
    ],
)
def test_output_stride(down: str, stem: int, output: int, reductions: list[int], dilations: list[int]) -> None:
    net = Encoder(stages(2, 3, 4, 5, 6, 7, down=down), stem_stride=stem, output_stride=output).build(batch)
    assert net.channels == [2, 3, 4, 5, 6, 7]
    assert net.reductions == reductions
    features = net(torch.rand(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in features] == [
        (c, 64 // r, 96 // r) for c, r in zip(net.channels, reductions, strict=True)
    ]
    used = [next(m.dilation[0] for m in stage.modules() if isinstance(m, nn.Conv2d)) for stage in net.stages]
    assert used == dilations


@pytest.mark.parametrize(("width", "stem"), [(6, 6), (256, 64)])
def test_stem_is_as_wide_as_the_first_stage_but_64_at_most(width: int, stem: int) -> None:
    for stride in (2, 4):
        net = Encoder(stages(width), stem_stride=stride).build(batch)
        assert net.stem(torch.rand(1, 3, 8, 8)).shape == (1, stem, 8 // stride, 8 // stride)


def test_decoders_state_their_output() -> None:
    for encoder in ENCODERS.values():
        made = encoder.build(batch)
        features = made(torch.rand(1, 3, 64, 64))
        for decoder in DECODERS.values():
            net = decoder.build(made.channels, made.reductions, batch, made.depths)
            y = net(features)
            assert y.shape == (1, net.out_channels, 64 // net.reduction, 64 // net.reduction)


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())
def test_padding_equals_an_image_padded_beforehand(decoder) -> None:
    net = network(ENCODERS["max"], decoder).eval()
    image = torch.rand(1, 3, 6, 7)
    padded = net.mean.expand(1, 3, 8, 8).clone()
    padded[:, :, :6, :7] = image
    with torch.no_grad():
        torch.testing.assert_close(net(image), net(padded)[:, :, :6, :7])


def test_unpooling_is_torchs() -> None:
    from nas.models.decoders import _pool, _unpool

    feature = torch.randn(2, 3, 5, 8)
    x, indices = _pool(feature, 2)
    reference = nn.functional.max_unpool2d(x, indices, 2, output_size=[5, 8])
    assert torch.equal(_unpool(x, indices, feature), reference)


def test_unet_concatenates_and_linknet_adds() -> None:
    made = ENCODERS["max"].build(batch)
    unet = UNet(up="transposed").build(made.channels, made.reductions, batch, made.depths)
    assert [up.out_channels for up in unet.ups] == [6, 4]
    features = [f.detach() for f in made(torch.rand(1, 3, 8, 8))]
    link = LinkNet().build(made.channels, made.reductions, batch, made.depths).eval()
    seen = []
    link.last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    link(features)
    link([features[0] + 1, *features[1:]])
    torch.testing.assert_close(seen[1], seen[0] + 1)


def test_aspp_dilations_and_skip() -> None:
    made = ENCODERS["deep"].build(batch)
    net = ASPP(rates=(3, 5), width=6).build(made.channels, made.reductions, batch, made.depths)
    assert net.reduction == 4
    assert {m.dilation[0] for m in net.pyramid.modules() if isinstance(m, nn.Conv2d)} == {1, 3, 5}
    assert ASPP(skip=False).build(made.channels, made.reductions, batch, made.depths).reduction == 32


def test_separate_norms_for_encoder_and_decoder() -> None:
    net = network(ENCODERS["max"], UNet(), Norms(encoder="switch", decoder="batch"))
    assert any(isinstance(m, SwitchNorm2d) for m in net.encoder.modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in net.encoder.modules())
    assert not any(isinstance(m, SwitchNorm2d) for m in net.decoder.modules())


@pytest.mark.parametrize("norm", NORMS)
def test_state_dict_round_trip(norm: str) -> None:
    first, second = (network(ENCODERS["mixed"], SegNet(), norm) for _ in range(2))
    first(torch.rand(2, 3, 16, 16))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    x = torch.rand(1, 3, 12, 15)
    with torch.no_grad():
        assert torch.equal(first.eval()(x), second.eval()(x))


def test_same_seed_same_network() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(network(ENCODERS["mixed"], FPN(width=6), "switch"))
    x = torch.rand(1, 3, 10, 10)
    assert torch.equal(nets[0](x), nets[1](x))


def test_images_are_normalised_inside() -> None:
    candidate = SimpleNamespace(encoder=ENCODERS["max"], decoder=UNet(), norm="batch")
    net = build_network(candidate, 2, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    seen = []
    net.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 3, 3, 4)
    features = net.features(x)
    expected = (x - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([0.5, 0.6, 0.7]).view(3, 1, 1)
    torch.testing.assert_close(seen[0][:, :, :3], expected)
    assert seen[0].shape == (1, 3, 4, 4)
    assert not seen[0][:, :, 3:].any()
    torch.testing.assert_close(net.decode(features, (3, 4)), net(x))


def test_the_forward_pass_does_not_use_heads() -> None:
    net = network(ENCODERS["max"], UNet())
    assert not net.heads
    net.heads["jigsaw"] = nn.Conv2d(8, 9, 1)
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    assert net.heads["jigsaw"].weight.grad is None


def test_canonical_encoder_drops_what_has_no_effect() -> None:
    a = Encoder(stages(4, 8, 8, 8, 8, down="stride"), stem_stride=4, output_stride=8)
    canonical = a.canonical()
    assert [s.down for s in canonical.stages] == ["max", "stride", "max", "max", "max"]
    assert canonical.output_stride == 8
    shapes = [{k: v.shape for k, v in e.build(batch).state_dict().items()} for e in (a, canonical)]
    assert list(shapes[0].values()) == list(shapes[1].values())
    assert Encoder(stages(4, 8), output_stride=8).canonical() == Encoder(stages(4, 8), output_stride=16).canonical()
    assert Encoder(stages(4, 8, down="stride")).canonical() != Encoder(stages(4, 8)).canonical()


@pytest.mark.parametrize(
    ("encoder", "decoder", "field"),
    [
        (Encoder(stages(4), stem_stride=3), UNet(), r"Encoder\.stem_stride"),
        (Encoder(stages(4), output_stride=12), UNet(), r"Encoder\.output_stride"),
        (Encoder(()), UNet(), r"Encoder\.stages"),
        (Encoder(stages(4, down="mean")), UNet(), r"Stage\.down"),
        (Encoder(stages(4, depth=0)), UNet(), r"Stage\.depth"),
        (Encoder(stages(0)), UNet(), r"Stage\.width"),
        (Encoder(stages(4, 4)), UNet(up="nearest"), "up is 'nearest'"),
        (Encoder(stages(4)), FPN(width=0), r"FPN\.width"),
        (Encoder(stages(4)), ASPP(rates=()), r"ASPP\.rates"),
    ],
)
def test_errors_name_the_field(encoder: Encoder, decoder, field: str) -> None:
    with pytest.raises(UserError, match=field):
        network(encoder, decoder)


def test_an_encoder_without_stages_cannot_be_built() -> None:
    empty = Encoder(stages=())
    assert empty.canonical() == empty
    with pytest.raises(UserError, match="stages"):
        empty.build(Norms())
