import torch

from kronos_service.forecaster.config import TokenizerConfig
from kronos_service.forecaster.tokenizer import KronosTokenizer

S1, S2 = 3, 5


def passthrough() -> KronosTokenizer:
    """A tokenizer of 3 + 5 bits without layers, whose 8 signs are those of its first 6 inputs and two ones."""
    tokenizer = KronosTokenizer(
        TokenizerConfig(
            d_in=6,
            d_model=8,
            n_heads=2,
            ff_dim=4,
            n_enc_layers=1,
            n_dec_layers=1,
            s1_bits=S1,
            s2_bits=S2,
            group_size=4,
        )
    ).requires_grad_(requires_grad=False)
    tokenizer.embed.weight.copy_(torch.eye(8, 6))
    tokenizer.embed.bias.copy_(torch.tensor([0.0] * 6 + [1.0, 1.0]))
    for layer in (tokenizer.quant_embed, tokenizer.post_quant_embed):
        layer.weight.copy_(torch.eye(8))
        layer.bias.zero_()
    tokenizer.head.weight.copy_(torch.eye(6, 8))
    tokenizer.head.bias.zero_()
    return tokenizer


def test_bits_count_from_the_smallest_and_s1_comes_first():
    z = torch.tensor([[[1.0, -1, -1, -1, 1, -1], [-1.0, -1, 1, 1, -1, -1]]])

    s1, s2 = passthrough().encode(z)

    assert s1.tolist() == [[0b001, 0b100]]
    assert s2.tolist() == [[0b11010, 0b11001]]
    assert s1.dtype == s2.dtype == torch.int64


def test_nought_counts_as_negative():
    s1, s2 = passthrough().encode(torch.zeros(1, 1, 6))

    assert (s1.tolist(), s2.tolist()) == ([[0]], [[0b11000]])


def test_decoding_gives_points_on_the_unit_sphere():
    z = torch.tensor([[[1.0, -1, -1, -1, 1, -1], [-1.0, -1, 1, 1, -1, -1]]])
    tokenizer = passthrough()

    torch.testing.assert_close(tokenizer.decode(*tokenizer.encode(z)), z / 8**0.5)
