"""Inputs, targets and losses of pretext tasks, against OpenCV, NumPy and counts by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, permutations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nas.space import SpaceError
from nas.tasks.pretext import Colorization, Denoising, Inpainting, Jigsaw
from nas.tasks.pretext.colorization import color_bins, rgb_to_lab
from nas.tasks.pretext.heads import PixelHead, tile_means
from nas.tasks.pretext.jigsaw import cut_tiles, far_permutations, join_tiles, normalised


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lab_by_opencv(images: torch.Tensor) -> np.ndarray:
    """CIE Lab, N x H x W x 3, by OpenCV's lookup table, which is up to half a unit off."""
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2LAB) for image in pixels])


def lab_by_hand(images: torch.Tensor) -> np.ndarray:
    """CIE Lab, N x H x W x 3, by the definitions: IEC 61966-2-1, OpenCV's XYZ, and the formula of Lab."""
    pixels = np.ascontiguousarray(images.permute(0, 2, 3, 1).double().numpy())
    light = np.where(pixels > 0.04045, ((pixels + 0.055) / 1.055) ** 2.4, pixels / 12.92)
    xyz = np.stack([cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2XYZ) for image in light])
    ratio = xyz / np.array([0.950456, 1.0, 1.088754])
    x, y, z = np.moveaxis(np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@pytest.mark.parametrize("area", [0.1, 0.25, 0.4])
@pytest.mark.parametrize("size", [(64, 64), (48, 96), (90, 50)])
def test_the_erased_area_is_as_set(area: float, size: tuple[int, int]) -> None:
    _, (_, holes) = Inpainting(area=area).make_batch(torch.rand(40, 3, *size), rng())
    shares = holes.float().mean((1, 2, 3))
    assert shares.min() > area - 0.03 and shares.max() < area + 0.03


def test_holes_are_one_to_four_squares_anywhere() -> None:
    _, (_, holes) = Inpainting(area=0.15).make_batch(torch.rand(100, 3, 64, 64), rng())
    counts = []
    for hole in holes[:, 0].numpy().astype(np.uint8):
        found, _, stats, _ = cv2.connectedComponentsWithStats(hole, connectivity=4)
        boxes = stats[1:]
        counts.append(found - 1)
        if found > 2:  # holes that touch are found as one component
            continue
        assert (np.abs(boxes[:, 2] - boxes[:, 3]) <= 1).all()
        assert (boxes[:, 4] == boxes[:, 2] * boxes[:, 3]).all()
    assert set(counts) == {1, 2, 3, 4}
    assert holes.any(0).float().mean() > 0.95
    assert holes[..., [0, -1], :].any() and holes[..., [0, -1]].any()


def test_inpainting_is_scored_only_on_the_holes() -> None:
    task, images = Inpainting(area=0.3), torch.rand(3, 3, 20, 30, generator=rng())
    inputs, targets = task.make_batch(images, rng())
    holes = targets[1].expand_as(images)
    assert torch.equal(inputs[~holes], images[~holes])
    mean = images.mean((2, 3), keepdim=True).expand_as(images)
    assert torch.equal(inputs[holes], mean[holes])
    prediction = torch.rand(3, 3, 24, 32, generator=rng(1))
    cropped = prediction[:, :, :20, :30]
    expected = ((cropped - images)[holes].double() ** 2).mean().item()
    assert task.loss(prediction, targets).item() == pytest.approx(expected, rel=1e-5)
    assert task.metric(prediction, targets) == pytest.approx(-10 * math.log10(expected), rel=1e-4)
    assert task.metric(images, targets) == 100
    outside = torch.where(holes, images, 9.0)
    assert task.loss(outside, targets).item() == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2)])
def test_tiny_images_can_be_inpainted(size: tuple[int, int]) -> None:
    inputs, (_, holes) = Inpainting().make_batch(torch.rand(5, 3, *size), rng())
    assert torch.isfinite(inputs).all() and holes.flatten(1).any(1).all()


def test_noise_is_gaussian_with_a_deviation_in_the_range() -> None:
    images = torch.rand(40, 3, 64, 64)
    inputs, targets = Denoising(0.05, 0.2).make_batch(images, rng())
    noise = (inputs - targets).flatten(1)
    spread = noise.std(1)
    assert spread.min() > 0.048 and spread.max() < 0.205
    assert spread.max() - spread.min() > 0.1
    assert (noise.mean(1).abs() < 5 * spread / math.sqrt(noise.shape[1])).all()
    kurtosis = (noise / spread.unsqueeze(1)).pow(4).mean()
    assert float(kurtosis) == pytest.approx(3, abs=0.1)
    assert torch.equal(targets, images)


def test_denoising_scores_every_pixel() -> None:
    task, images = Denoising(), torch.rand(2, 3, 9, 9)
    _, targets = task.make_batch(images, rng())
    assert task.loss(images + 0.1, targets).item() == pytest.approx(0.01, rel=1e-4)
    assert task.metric(images + 0.1, targets) == pytest.approx(20, abs=0.01)


def test_lab_equals_opencvs() -> None:
    images = torch.rand(2, 3, 40, 40, generator=rng())
    images[0, :, :20] *= 0.05
    ours = rgb_to_lab(images).permute(0, 2, 3, 1).numpy()
    assert np.abs(ours - lab_by_opencv(images)).max() < 0.6
    assert np.abs(ours - lab_by_hand(images)).max() < 0.002


def test_lab_of_the_primaries_equals_published_values() -> None:
    primaries = torch.eye(3).view(3, 3, 1, 1)
    published = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    assert np.allclose(rgb_to_lab(primaries).squeeze().numpy(), published, atol=0.05)
    assert np.allclose(rgb_to_lab(torch.ones(1, 3, 1, 1)).squeeze().numpy(), [100, 0, 0], atol=0.02)


def test_bins_are_the_cells_of_all_colours_in_opencv() -> None:
    line = torch.linspace(0, 1, 65)
    cube = torch.stack(torch.meshgrid(line, line, line, indexing="ij")).flatten(2)[None]
    found = np.unique(np.round(lab_by_opencv(cube)[..., 1:] / 10).reshape(-1, 2), axis=0) * 10
    ours = {tuple(row) for row in color_bins(10).tolist()}
    theirs = {tuple(row) for row in found.tolist()}
    assert len(ours) == 262
    assert theirs <= ours and len(ours - theirs) <= 2


def test_colour_targets_are_the_nearest_bins() -> None:
    blocks = torch.rand(2, 3, 5, 6, generator=rng())
    images = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    inputs, targets = Colorization().make_batch(images, rng())
    lab = lab_by_hand(blocks)
    distances = np.linalg.norm(lab[..., None, 1:] - color_bins(10).numpy(), axis=-1)
    chosen = np.take_along_axis(distances, targets.numpy()[..., None], -1)[..., 0]
    assert (chosen <= distances.min(-1) + 0.005).all()
    lightness = torch.from_numpy(lab_by_hand(images)[..., 0] / 100).float()
    for channel in range(3):
        assert torch.allclose(inputs[:, channel], lightness, atol=1e-4)


def test_sizes_of_colour_targets_are_rounded_up() -> None:
    _, targets = Colorization().make_batch(torch.rand(1, 3, 9, 14), rng())
    assert targets.shape == (1, 3, 4)


def test_rebalanced_weights_follow_equation_4() -> None:
    targets = torch.zeros(1, 4, 4, dtype=torch.long)
    targets[0, 0, 0] = 200
    bins = color_bins(10).double().numpy()
    shares = np.zeros(len(bins))
    shares[0], shares[200] = 15 / 16, 1 / 16
    squared = ((bins[:, None] - bins[None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * 5**2))
    smooth = shares @ (kernel / kernel.sum(1, keepdims=True))
    weights = 1 / (0.5 * smooth + 0.5 / len(bins))
    weights /= (weights * shares).sum()
    prediction = torch.randn(1, len(bins), 4, 4, generator=rng())
    entropies = F.cross_entropy(prediction, targets, reduction="none").numpy()
    expected = (entropies * weights[targets.numpy()]).mean()
    assert Colorization(rebalance=True).loss(prediction, targets).item() == pytest.approx(expected, rel=1e-4)
    assert Colorization().loss(prediction, targets).item() == pytest.approx(entropies.mean(), rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert Colorization(rebalance=True).loss(prediction, targets).item() == pytest.approx(expected, rel=1e-4)
    assert weights[200] > 5 * weights[0]


@pytest.mark.parametrize("grid", [2, 3])
def test_inverting_the_permutation_restores_the_tiles(grid: int) -> None:
    images = torch.rand(6, 3, 33, 45, generator=rng())
    inputs, labels = Jigsaw(grid=grid, permutations=16).make_batch(images, rng(2))
    cells, size = (33 // grid, 45 // grid), (inputs.shape[2] // grid, inputs.shape[3] // grid)
    orders = far_permutations(grid, 16)
    for image, shuffled, label in zip(images, inputs, labels, strict=True):
        for place, source in enumerate(orders[int(label)]):
            cell = tile_of(image, int(source), grid, cells)
            seen = tile_of(shuffled, place, grid, size)
            assert any(torch.allclose(seen, tile, atol=2e-3) for tile in normalised_windows(cell, size))


def tile_of(image: torch.Tensor, place: int, grid: int, size: tuple[int, int]) -> torch.Tensor:
    top, left = place // grid * size[0], place % grid * size[1]
    return image[:, top : top + size[0], left : left + size[1]]


def normalised_windows(cell: torch.Tensor, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    for top in range(cell.shape[1] - size[0] + 1):
        for left in range(cell.shape[2] - size[1] + 1):
            tile = cell[:, top : top + size[0], left : left + size[1]]
            spread = tile.std((1, 2), correction=0, keepdim=True)
            yield 0.45 + 0.225 * (tile - tile.mean((1, 2), keepdim=True)) / spread


def test_tiles_lie_anywhere_in_their_cells_with_the_published_share() -> None:
    """Noroozi & Favaro (2016): tiles of 64 x 64 pixels, each from a cell of 75 x 75."""
    rows, columns = torch.meshgrid(torch.arange(225.0), torch.arange(225.0), indexing="ij")
    images = torch.stack([rows, columns, rows]).expand(40, 3, 225, 225)
    tiles = cut_tiles(images, 3, rng())
    assert tiles.shape == (40, 9, 3, 64, 64)
    assert torch.equal(tiles.diff(dim=3)[:, :, 0], torch.ones(40, 9, 63, 64))
    corners = tiles[:, :, :2, 0, 0]
    cells = torch.stack([torch.arange(9) // 3, torch.arange(9) % 3], 1) * 75
    offsets = corners - cells
    assert sorted(set(offsets.flatten().int().tolist())) == list(range(12))
    # Between neighbours in a row lie 11 pixels on average, as in the paper.
    gaps = corners[:, 1, 1] - corners[:, 0, 1] - 64
    assert gaps.mean().item() == pytest.approx(11, abs=1.5)


def test_joined_tiles_keep_their_positions() -> None:
    tiles = normalised(torch.rand(2, 9, 3, 4, 6))
    joined = join_tiles(tiles, 3)
    assert torch.equal(joined[:, :, 4:8, 6:12], tiles[:, 4])
    assert torch.allclose(tiles.mean((3, 4)), torch.tensor(0.45), atol=1e-4)


def test_flat_tiles_stay_finite() -> None:
    inputs, _ = Jigsaw().make_batch(torch.full((1, 3, 9, 9), 0.3), rng())
    assert torch.allclose(inputs, torch.tensor(0.45), atol=1e-4)


def test_permutations_are_distinct_and_far_apart() -> None:
    orders = far_permutations(3, 64)
    assert orders.shape == (64, 9) and (np.sort(orders, 1) == np.arange(9)).all()
    assert orders[0].tolist() == list(range(9))
    distances = [int((a != b).sum()) for a, b in combinations(orders, 2)]
    assert min(distances) >= 7 and np.mean(distances) > 8
    nine = far_permutations(3, 9)
    assert min(int((a != b).sum()) for a, b in combinations(nine, 2)) == 9


def test_each_permutation_is_the_greedy_choice() -> None:
    everything = np.array(list(permutations(range(4))))
    chosen = [everything[0]]
    for _ in range(11):
        distances = np.array([[(e != c).sum() for c in chosen] for e in everything])
        best = max(range(24), key=lambda i: (distances[i].min(), distances[i].sum(), -i))
        chosen.append(everything[best])
    assert np.array_equal(far_permutations(2, 12), chosen)


def test_a_2_x_2_grid_has_at_most_24_permutations() -> None:
    task = Jigsaw(grid=2, permutations=100)
    assert task.canonical() == Jigsaw(grid=2, permutations=24)
    assert task.head((4,), (1,))([torch.rand(2, 4, 8, 8)]).shape == (2, 24)
    assert len({tuple(o) for o in far_permutations(2, 24).tolist()}) == 24


@pytest.mark.parametrize("size, grid", [((9, 12), 3), ((7, 10), 3), ((2, 1), 3), ((5, 4), 2)])
def test_tile_means_share_border_pixels_by_area(size: tuple[int, int], grid: int) -> None:
    feature = torch.rand(2, 3, *size, dtype=torch.float64)
    fine = feature.repeat_interleave(grid, 2).repeat_interleave(grid, 3)
    expected = F.avg_pool2d(fine, size)
    assert torch.allclose(tile_means(feature, grid), expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 4])
def test_the_pixel_head_has_its_stride(stride: int) -> None:
    head = PixelHead((4, 4, 4), (2, 4, 16), out_channels=5, stride=stride)
    features = [torch.rand(1, 4, 64 // r, 32 // r) for r in (2, 4, 16)]
    assert head(features).shape == (1, 5, 64 // stride, 32 // stride)


@pytest.mark.parametrize(
    "task, height",
    [
        (Inpainting(area=0.0), 8),
        (Inpainting(holes=0), 8),
        (Denoising(0.3, 0.1), 8),
        (Colorization(grid=1), 8),
        (Jigsaw(grid=4), 8),
        (Jigsaw(permutations=1), 8),
        (Jigsaw(), 2),
    ],
)
def test_an_invalid_setting_gets_a_one_line_error(task: Jigsaw, height: int) -> None:
    with pytest.raises(SpaceError, match=rf"^{type(task).__name__}(: |\.\w+ is ).*(must be|use )"):
        task.make_batch(torch.rand(1, 3, height, 8), rng())


def test_canonical_resets_settings_without_effect() -> None:
    assert Colorization(mix=0.1).canonical() == Colorization()
    assert Colorization(rebalance=True, mix=0.1).canonical() == Colorization(rebalance=True, mix=0.1)
