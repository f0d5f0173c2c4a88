"""The repeatable gradient, and the matrices it is made of, against torch's own interpolation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nas.models.bilinear import Interpolated, bilinear, shares


@pytest.mark.parametrize(("sides", "size"), [((4, 6), (8, 12)), ((3, 5), (24, 40)), ((5, 4), (7, 9)), ((8, 8), (3, 5))])
def test_it_is_torchs_interpolation_and_so_is_its_gradient(sides: tuple[int, int], size: tuple[int, int]) -> None:
    one = torch.randn(2, 3, *sides, dtype=torch.float64, requires_grad=True)
    other = one.detach().clone().requires_grad_(True)
    grad = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.interpolate(one, size=size, mode="bilinear", align_corners=False)
    found = Interpolated.apply(other, *size)
    expected.backward(grad)
    found.backward(grad)
    torch.testing.assert_close(found, expected)
    # The places of the pixels are in single precision, as torch's own are.
    torch.testing.assert_close(other.grad, one.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bilinear(one, size), expected)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shares_are_exact_in_bfloat16_for_the_factors_of_networks(factor: int) -> None:
    single = shares(6 * factor, 6, torch.zeros(()))
    half = shares(6 * factor, 6, torch.zeros((), dtype=torch.bfloat16))
    assert torch.equal(single, half.float())
    assert single.sum(1) == pytest.approx(1.0)
