"""Loads and checks a checkpoint: two folders, each with a config.json and a model.safetensors."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .cache import Cache
from .config import ConfigError, ModelConfig, TokenizerConfig
from .errors import CheckpointInvalid, CheckpointNotFound, DeviceUnavailable
from .model import Kronos
from .normalise import Precision
from .source import CONFIG_FILE, WEIGHTS_FILE, locate
from .tokenizer import KronosTokenizer
from .weights import Folder, ModelWeights, TokenizerWeights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""The types that the weights may be converted to, by name."""

_LISTED = 5

_BLOCK = 2**20
_DIGITS = 12
"""Of a SHA-256 sum: enough to tell the models of one service apart."""

_Config = TypeVar("_Config", TokenizerConfig, ModelConfig)
_Module = TypeVar("_Module", KronosTokenizer, Kronos)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A tokenizer and a model that belong together, ready for inference on one device.

    Attributes:
        tokenizer: the weights of the tokenizer.
        model: the weights of the model.
        s1_bits: the vocabulary of s1 has 2^s1_bits tokens.
        s2_bits: likewise.
        model_name: the name of the model's folder, or its hub id.
        tokenizer_name: the name of the tokenizer's folder, or its hub id.
        revision: the model's commit on the hub; of a folder, the first digits of its ``content_hash``.
        tokenizer_revision: likewise for the tokenizer.
        device: where both are, such as ``cpu`` or ``cuda:0``.
        dtype: data type of the weights, and of keys and values.
        max_context: longest window of the model, in candles.
        max_context_from: whether it was set or follows from the size of the model.
        precision: in which candles are normalised.
        parameters: number of the model's parameters, without the tokenizer's.
    """

    tokenizer: TokenizerWeights
    model: ModelWeights
    s1_bits: int
    s2_bits: int
    model_name: str
    tokenizer_name: str
    revision: str
    tokenizer_revision: str
    device: torch.device
    dtype: torch.dtype
    max_context: int
    max_context_from: Literal["setting", "size"]
    precision: Precision
    parameters: int

    def model_cache(self, capacity: int) -> Cache:
        """A cache of one row for the model."""
        return self._cache(self.model.cached_heads, self.model.stack.width, capacity)

    def tokenizer_cache(self, capacity: int, rows: int = 1) -> Cache:
        """A cache for the tokenizer's encoder or decoder."""
        stack = self.tokenizer.encoder
        layers = max(len(stack.blocks), len(self.tokenizer.decoder.blocks))
        return self._cache((stack.heads,) * layers, stack.width, capacity, rows)

    def synchronize(self) -> None:
        """Wait until the device has done all its work, so that it can be timed."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    @property
    def position_bytes(self) -> int:
        """Memory of one position of one row in the model's cache."""
        return 2 * len(self.model.cached_heads) * self.model.stack.width * self.dtype.itemsize

    def _cache(self, heads: tuple[int, ...], width: int, capacity: int, rows: int = 1) -> Cache:
        return Cache(heads, width, capacity, rows=rows, dtype=self.dtype, device=self.device)


def load_checkpoint(
    model: str,
    tokenizer: str,
    *,
    model_revision: str | None = None,
    tokenizer_revision: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    max_context: int | None = None,
    precision: Precision = "float64",
) -> Checkpoint:
    """Load a model and its tokenizer.

    Args:
        model: a folder, or ``owner/name`` on the Hugging Face hub. If such a folder exists, it is used.
        tokenizer: likewise.
        model_revision: branch, tag or commit on the hub; not for folders.
        tokenizer_revision: likewise.
        device: as PyTorch names it, or "auto" for an accelerator if there is one.
        dtype: a name in ``DTYPES``. Anything but float32 draws other tokens than the reference.
        max_context: longest window of the model, in candles. No file says it: None means that of the published
            model of the same size.
        precision: in which candles are normalised; float32 is what the reference does.

    Raises:
        CheckpointNotFound: a folder, a repository or a file in it is missing or cannot be reached.
        CheckpointInvalid: the files are damaged, or not those of a Kronos model and its tokenizer.
        DeviceUnavailable: the device is unknown or absent.
    """
    place = _device(device)
    if max_context is not None and max_context < 1:
        raise CheckpointInvalid(f"max_context must be 1 or more, got {max_context}")
    tokenizer_source = locate(tokenizer, tokenizer_revision)
    model_source = locate(model, model_revision)
    loaded_tokenizer = read_tokenizer(tokenizer_source.folder)
    loaded_model = read_model(model_source.folder)
    for bits in ("s1_bits", "s2_bits"):
        ours, theirs = getattr(loaded_model.config, bits), getattr(loaded_tokenizer.config, bits)
        if ours != theirs:
            raise CheckpointInvalid(
                f"model {model} has {bits} {ours}, but tokenizer {tokenizer} has {theirs};"
                " use the tokenizer that the model was trained with"
            )
    if place.type == "cuda":
        # It prepares a plan for every length of the cache, which takes a tenth of a second each.
        torch.backends.cuda.enable_cudnn_sdp(enabled=False)
    folder = Folder(DTYPES[dtype], place)
    return Checkpoint(
        tokenizer=folder.tokenizer(loaded_tokenizer),
        model=folder.model(loaded_model),
        s1_bits=loaded_model.config.s1_bits,
        s2_bits=loaded_model.config.s2_bits,
        model_name=model_source.name,
        tokenizer_name=tokenizer_source.name,
        revision=model_source.commit or content_hash(model_source.folder)[:_DIGITS],
        tokenizer_revision=tokenizer_source.commit or content_hash(tokenizer_source.folder)[:_DIGITS],
        device=place,
        dtype=DTYPES[dtype],
        max_context=loaded_model.config.trained_context if max_context is None else max_context,
        max_context_from="size" if max_context is None else "setting",
        precision=precision,
        parameters=sum(parameter.numel() for parameter in loaded_model.parameters()),
    )


def content_hash(folder: Path) -> str:
    """The SHA-256 sum of ``cat config.json model.safetensors``: two fine-tunings of one name differ in it."""
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        with (folder / name).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def read_tokenizer(folder: Path) -> KronosTokenizer:
    """The modules of a tokenizer, on the CPU; raises CheckpointNotFound or CheckpointInvalid."""
    return _load(folder, TokenizerConfig.parse, KronosTokenizer)


def read_model(folder: Path) -> Kronos:
    """The modules of a model, on the CPU; raises CheckpointNotFound or CheckpointInvalid."""
    return _load(folder, ModelConfig.parse, Kronos)


def _device(name: str) -> torch.device:
    if name == "auto":
        accelerated = torch.accelerator.current_accelerator(check_available=True)
        name = "cpu" if accelerated is None else accelerated.type
    try:
        # An empty tensor proves that the device exists, and resolves "cuda" to "cuda:0".
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceUnavailable(f"device {name!r} cannot be used: {error}; choose another, such as cpu") from error


def _load(folder: Path, parse: Callable[[object], _Config], build: Callable[[_Config], _Module]) -> _Module:
    config = _read_config(folder / CONFIG_FILE, parse)
    # On "meta" a module has no memory, so no weights are initialised just to be overwritten.
    with torch.device("meta"):
        module = build(config)
    buffers = {name for name, _ in module.named_buffers()}
    weights = _read_weights(folder / WEIGHTS_FILE, module.state_dict(), buffers)
    if missing := buffers - weights.keys():
        # They follow from the config, so the constructor has computed them.
        computed = build(config).state_dict()
        weights |= {name: computed[name] for name in missing}
    module.load_state_dict(weights, strict=True, assign=True)
    return module.eval().requires_grad_(requires_grad=False)


def _read_config(path: Path, parse: Callable[[object], _Config]) -> _Config:
    try:
        return parse(json.loads(_existing(path).read_bytes()))
    except ConfigError as error:
        raise CheckpointInvalid(
            f"{path} does not describe this kind of checkpoint: {error}; check that model and tokenizer"
            " are not swapped and that the file is the published one"
        ) from error
    # json raises ValueError, also for invalid UTF-8, and RecursionError if nested too deeply.
    except (ValueError, RecursionError) as error:
        raise CheckpointInvalid(f"{path} is not JSON: {error}; fetch it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _read_weights(path: Path, expected: Mapping[str, Tensor], optional: Set[str]) -> dict[str, Tensor]:
    """The tensors of a file, in ``DTYPE``: all of ``expected``, of which only ``optional`` ones may be missing."""
    try:
        stored = load_file(_existing(path))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointInvalid(f"{path} is damaged or not a safetensors file: {error}; fetch it again") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if faults := _misfits(stored, expected, optional):
        raise CheckpointInvalid(
            f"{path} does not fit its {CONFIG_FILE}: {'; '.join(faults)}; use files that belong together"
        )
    # Copied, because load_file maps the file into memory, and the file may be replaced while we run.
    weights = {
        name: tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in stored.items()
    }
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise CheckpointInvalid(f"{path} holds numbers that are not finite in {_some(broken)}; fetch it again")
    return weights


def _misfits(stored: Mapping[str, Tensor], expected: Mapping[str, Tensor], optional: Set[str]) -> list[str]:
    common = [name for name in expected if name in stored]
    faults = {
        "missing": [name for name in expected if name not in stored and name not in optional],
        "unexpected": [name for name in stored if name not in expected],
        "of the wrong shape": [
            f"{name} {list(stored[name].shape)} instead of {list(expected[name].shape)}"
            for name in common
            if stored[name].shape != expected[name].shape
        ],
        "of the wrong type": [
            f"{name} {stored[name].dtype} instead of {expected[name].dtype}"
            for name in common
            if not _same_kind(stored[name].dtype, expected[name].dtype)
        ],
    }
    return [f"{len(names)} tensors {fault}: {_some(names)}" for fault, names in faults.items() if names]


def _same_kind(stored: torch.dtype, expected: torch.dtype) -> bool:
    return stored == expected or (stored.is_floating_point and expected.is_floating_point)


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:_LISTED]) + (" and more" if len(listed) > _LISTED else "")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise CheckpointNotFound(
            f"there is no file {path}; a checkpoint is a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    return path


def _unreadable(path: Path, error: OSError) -> CheckpointInvalid:
    return CheckpointInvalid(f"{path} cannot be read: {error}; check its permissions and the disk")
