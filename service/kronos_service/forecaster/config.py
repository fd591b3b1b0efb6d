"""The config.json of a checkpoint, checked key by key."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Self

CANDLE_WIDTH = 6
"""Numbers of one candle: open, high, low, close, volume, amount."""

S2_ATTENTION_HEADS = 4
"""Heads of the model's s2 attention: fixed by the architecture, and not in config.json."""

DEFAULT_CONTEXT = 512
MINI_CONTEXT = 2048
MINI_SIZE = (4, 256)
"""Layers and width of Kronos-mini, the only published model with a longer context; no file says so."""

# A damaged config.json must be reported, not build a million layers.
_LARGEST = {
    "n_layers": 256,
    "n_enc_layers": 256,
    "n_dec_layers": 256,
    "d_model": 65_536,
    "n_heads": 1_024,
    "ff_dim": 262_144,
    "s1_bits": 20,
    "s2_bits": 20,
    "group_size": 40,
}


class ConfigError(ValueError):
    """A config.json is wrong; the message lists every fault found."""


@dataclass(frozen=True)
class _Sizes:
    """Sizes that tokenizer and model share."""

    d_model: int
    n_heads: int
    ff_dim: int
    s1_bits: int
    s2_bits: int

    flags: ClassVar[Mapping[str, bool]] = {}
    """Flags, each with the only value that this package implements."""

    training_only: ClassVar[frozenset[str]] = frozenset()
    """Numbers that only training reads: accepted and ignored."""

    @classmethod
    def parse(cls, data: object) -> Self:
        """Check the content of a config.json.

        Raises:
            ConfigError: a key is missing, of the wrong type or out of range, or sizes do not fit. Unknown keys are
                ignored, as in the reference: libraries add their own.
        """
        if not isinstance(data, dict):
            raise ConfigError(f"it holds a JSON {type(data).__name__}, not an object")
        sizes = [field.name for field in fields(cls)]
        faults = [f"{name} is missing" for name in (*sizes, *cls.flags) if name not in data]
        faults += [fault for name, value in data.items() if (fault := cls._fault(str(name), value))]
        if faults:
            raise ConfigError("; ".join(faults))
        config = cls(**{name: data[name] for name in sizes})
        if faults := config.misfits():
            raise ConfigError("; ".join(faults))
        return config

    @classmethod
    def _fault(cls, name: str, value: object) -> str | None:
        if name in cls.flags:
            return None if value is cls.flags[name] else f"{name} must be {cls.flags[name]}, got {value!r}"
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if name in cls.training_only:
            return None if is_integer or isinstance(value, float) else f"{name} must be a number, got {value!r}"
        if name not in {field.name for field in fields(cls)}:
            return None
        largest = _LARGEST.get(name, CANDLE_WIDTH)
        if not (isinstance(value, int) and is_integer and 1 <= value <= largest):
            return f"{name} must be an integer from 1 to {largest}, got {value!r}"
        return None

    def misfits(self) -> list[str]:
        """Faults between sizes that are fine one by one."""
        return _head_misfits(self.d_model, self.n_heads, "n_heads")


def _head_misfits(width: int, heads: int, name: str) -> list[str]:
    # The rotary embedding rotates pairs of elements, so heads need an even width.
    if width % (2 * heads):
        return [f"d_model {width} must be a multiple of twice {name} {heads}"]
    return []


@dataclass(frozen=True)
class TokenizerConfig(_Sizes):
    """Sizes of a :class:`KronosTokenizer`, as config.json names them."""

    d_in: int
    n_enc_layers: int
    n_dec_layers: int
    group_size: int

    training_only: ClassVar[frozenset[str]] = frozenset(
        {"ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "beta", "gamma0", "gamma", "zeta"}
    )

    def misfits(self) -> list[str]:
        """Faults between sizes that are fine one by one."""
        faults = super().misfits()
        if self.d_in != CANDLE_WIDTH:
            faults.append(f"d_in is {self.d_in}, but a candle has {CANDLE_WIDTH} numbers")
        if (self.s1_bits + self.s2_bits) % self.group_size:
            faults.append(
                f"group_size {self.group_size} does not divide s1_bits {self.s1_bits} + s2_bits {self.s2_bits}"
            )
        return faults


@dataclass(frozen=True)
class ModelConfig(_Sizes):
    """Sizes of a :class:`Kronos`, as config.json names them."""

    n_layers: int

    # False means sinusoidal instead of learned calendar embeddings; no public checkpoint has them.
    flags: ClassVar[Mapping[str, bool]] = {"learn_te": True}
    training_only: ClassVar[frozenset[str]] = frozenset(
        {"ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "token_dropout_p"}
    )

    @property
    def trained_context(self) -> int:
        """The longest window, in candles, that the published model of this size was trained with."""
        return MINI_CONTEXT if (self.n_layers, self.d_model) == MINI_SIZE else DEFAULT_CONTEXT

    def misfits(self) -> list[str]:
        """Faults between sizes that are fine one by one."""
        return super().misfits() + _head_misfits(
            self.d_model, S2_ATTENTION_HEADS, "the number of s2 attention heads,"
        )
