"""One decoding step: the next candle of many series at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .cache import Cache
from .passes import attend, norm
from .sampling import Choice, draw
from .weights import ModelWeights


def draw_candle(
    model: ModelWeights,
    read: Tensor,
    caches: Sequence[Cache],
    noise: tuple[Tensor, Tensor],
    choice: Choice,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw s1 from what the model has read, then s2 from that and s1.

    Args:
        model: the weights.
        read: [N, D]: what :func:`.passes.read` gave for the newest candle of each row.
        caches: one per series, N rows altogether.
        noise: [N, 2^s1_bits] and [N, 2^s2_bits], see :func:`.sampling.noise`.
        choice: the settings of each row.

    Returns:
        s1 and s2 [N] int64, and whether the logits of each row were finite [N].
    """
    device = read.device
    s1_logits = model.s1_head(read).float()
    s1 = draw(s1_logits, noise[0].to(device), choice)
    layer = len(model.stack.blocks)
    queries = model.s2_queries[s1].view(len(s1), model.cached_heads[layer], 1, -1)
    attended = torch.cat(
        [
            attend(query, cache.read(layer))
            for query, cache in zip(queries.split_with_sizes([cache.rows for cache in caches]), caches, strict=True)
        ]
    )
    s2_logits = model.s2_head(norm(read * model.norm + model.s2_out(attended))).float()
    s2 = draw(s2_logits, noise[1].to(device), choice)
    # A sum is finite only if all that is added is.
    return s1, s2, (s1_logits.sum(dim=-1) + s2_logits.sum(dim=-1)).isfinite()
