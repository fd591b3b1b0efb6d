import pytest
import torch
from torch import nn

from kronos_service.forecaster.layers import RMSNorm, Rotary, TransformerBlock, merge_heads, rotate, split_heads


def test_norm_is_the_one_of_pytorch():
    ours, theirs = RMSNorm(8), nn.RMSNorm(8, eps=1e-5)
    ours.weight.data = theirs.weight.data = torch.randn(8)
    x = torch.randn(2, 3, 8) * 1e-3  # small, so that eps counts

    torch.testing.assert_close(ours(x), theirs(x))


def test_norm_computes_in_float32():
    x = torch.full((1, 4), 300.0, dtype=torch.float16)  # its square is infinite in float16

    assert RMSNorm(4).half()(x).tolist() == [[1.0] * 4]


def test_rotation_leaves_the_first_position_and_every_length_as_they_are():
    x = torch.randn(1, 2, 5, 8)

    turned = rotate(x, *Rotary(8).tables(5))

    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert not torch.allclose(turned[:, :, 1], x[:, :, 1])


def test_rotation_makes_products_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 8).expand(-1, -1, -1, 6, -1)
    tables = Rotary(8).tables(6)

    products = (rotate(q, *tables) @ rotate(k, *tables).transpose(-1, -2))[0, 0]

    torch.testing.assert_close(products[3, 1], products[5, 3])
    assert not torch.isclose(products[3, 1], products[3, 2])


def test_rotation_uses_the_stored_frequencies():
    rotary = Rotary(4)
    rotary.inv_freq = torch.tensor([0.0, 0.0])

    cos, sin = rotary.tables(3)

    assert cos.unique().tolist() == [1.0]
    assert sin.unique().tolist() == [0.0]


def test_heads_split_and_merge():
    x = torch.randn(2, 3, 8)

    assert split_heads(x, 4).shape == (2, 4, 3, 2)
    assert torch.equal(merge_heads(split_heads(x, 4)), x)


@pytest.mark.parametrize("changed", [0, 3, 6])
def test_a_position_sees_itself_and_the_past_only(changed):
    block = TransformerBlock(16, 4, 32)
    x = torch.randn(1, 7, 16)
    other = x.clone()
    other[:, changed] += 1

    with torch.no_grad():
        moved = (block(x) - block(other)).abs().amax(dim=-1)[0] > 0

    assert moved.tolist() == [position >= changed for position in range(7)]
