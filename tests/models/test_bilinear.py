"""Bilinear interpolation with a deterministic gradient, against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.models.bilinear import DeterministicBilinear, bilinear, interpolation_matrix


@pytest.mark.parametrize(("sides", "size"), [((4, 6), (8, 12)), ((3, 5), (24, 40)), ((5, 4), (7, 9)), ((8, 8), (3, 5))])
def test_output_and_gradient_equal_torchs(sides: tuple[int, int], size: tuple[int, int]) -> None:
    one = torch.randn(2, 3, *sides, dtype=torch.float64, requires_grad=True)
    other = one.detach().clone().requires_grad_(True)
    grad = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.interpolate(one, size=size, mode="bilinear", align_corners=False)
    found = DeterministicBilinear.apply(other, *size)
    expected.backward(grad)
    found.backward(grad)
    torch.testing.assert_close(found, expected)
    # Pixel positions are in single precision, as in torch.
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bilinear(one, size), expected)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_weights_are_exact_in_bfloat16_for_the_factors_of_networks(factor: int) -> None:
    single = interpolation_matrix(6 * factor, 6, torch.zeros(()))
    half = interpolation_matrix(6 * factor, 6, torch.zeros((), dtype=torch.bfloat16))
    assert torch.equal(single, half.float())
    assert single.sum(1) == pytest.approx(1.0)
