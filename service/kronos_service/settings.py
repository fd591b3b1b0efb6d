"""Settings: ``KRONOS_*`` environment variables, then a ``.env`` file in the working folder, then the defaults.

The same names in both places; a variable that is empty counts as not set. ``read_settings`` turns whatever is
wrong into one readable message, and points out names that look like settings but are none.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import limits
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kronos_mixin.contract import load_contract

PREFIX = "KRONOS_"
MAX_CLIENTS = 16
"""Most named clients: each name is a label value of kronos_rate_limited_total."""

RESERVED_CLIENTS = frozenset({"anonymous", "other"})
MAX_RATE = 100_000
"""Most requests per window: the moving window remembers each of them."""

_CLIENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[!-+\--~]{1,256}")  # printable ASCII without blanks and commas

# What Kubernetes injects for a Service named `kronos` (or `kronos-...`): not ours, and no typing errors.
_SERVICE_LINK = re.compile(r"KRONOS_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")


class SettingsError(Exception):
    """The settings are wrong; the text names every variable, its value, the reason and an example."""


class Settings(BaseSettings):
    """Every knob of the service. Field ``queue_capacity`` is the variable ``KRONOS_QUEUE_CAPACITY``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    host: Annotated[
        str,
        Field(
            min_length=1,
            description="Address to listen on; 0.0.0.0 for every IPv4 interface.",
            examples=["127.0.0.1"],
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Field(
            ge=0,
            le=65535,
            description="TCP port to listen on; 0 takes any free one, which the log names.",
            examples=["8000"],
        ),
    ] = 8000

    model: Annotated[
        str,
        Field(
            min_length=1,
            description="Folder or Hugging Face id of the model; demo is the built-in, untrained one.",
            examples=["NeoQuasar/Kronos-mini"],
        ),
    ] = "demo"
    tokenizer: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Folder or Hugging Face id of the tokenizer; only the demo model brings its own.",
            examples=["NeoQuasar/Kronos-Tokenizer-2k"],
        ),
    ] = None
    model_revision: Annotated[
        str | None,
        Field(min_length=1, description="Commit of the model on the hub; pin it.", examples=["main"]),
    ] = None
    tokenizer_revision: Annotated[
        str | None,
        Field(min_length=1, description="Commit of the tokenizer on the hub; pin it.", examples=["main"]),
    ] = None
    max_context: Annotated[
        int | None,
        Field(
            ge=2,
            le=65536,
            description="Candles the model looks back on; default: what the checkpoint was trained for.",
            examples=["512"],
        ),
    ] = None
    device: Annotated[
        str,
        Field(
            pattern=r"^(cpu|cuda(:\d{1,3})?)$",
            description="Where the model runs: cpu, cuda or cuda:N.",
            examples=["cpu"],
        ),
    ] = "cpu"
    torch_threads: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            description="CPU threads of one model call. Scale by replicas rather than threads, and leave a core "
            "to the event loop.",
            examples=["1"],
        ),
    ] = 1
    load_retry_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Pause before a failed model load is tried again; doubles up to ten times this.",
            examples=["10"],
        ),
    ] = 10.0

    queue_capacity: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Most series that may wait for the model; past it requests get 503.",
            examples=["256"],
        ),
    ] = 256
    time_limit_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Longest time from the first byte of a request to its answer; past it 504.",
            examples=["120"],
        ),
    ] = 120.0
    max_candles: Annotated[
        int, Field(ge=2, le=65536, description="Most input candles of one series.", examples=["2048"])
    ] = 2048
    max_horizon: Annotated[
        int, Field(ge=1, le=65536, description="Most forecast candles of one series.", examples=["512"])
    ] = 512
    max_batch_items: Annotated[
        int, Field(ge=1, le=10_000, description="Most series of one batch request.", examples=["64"])
    ] = 64
    max_samples: Annotated[
        int, Field(ge=1, le=1024, description="Most sample paths of one series.", examples=["32"])
    ] = 32
    max_work: Annotated[
        int,
        Field(
            ge=1,
            description="Most candles x horizon x samples of one request, summed over its series.",
            examples=["50000000"],
        ),
    ] = 50_000_000
    max_body_bytes: Annotated[
        int, Field(ge=1024, le=2**30, description="Largest request body, in bytes.", examples=["16777216"])
    ] = 16 * 2**20
    body_timeout_seconds: Annotated[
        float,
        Field(gt=0, le=3600, description="Longest time for a request body to arrive.", examples=["10"]),
    ] = 10.0

    api_keys: Annotated[
        SecretStr | None,
        Field(
            description="Clients and their keys, name:key with commas between, at most 16; none: open to all.",
            examples=["alice:9f8e7d6c5b4a3928,bob:1a2b3c4d5e6f7081"],
        ),
    ] = None
    rate_limit: Annotated[
        str | None,
        Field(
            description="Requests per client and time, several with semicolons between; none: no limit.",
            examples=["120/minute"],
        ),
    ] = None

    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="How long to keep answering after the first stop signal, not ready any more.",
            examples=["5"],
        ),
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Least severe level that is logged.", examples=["info"]),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        Field(description="json: one object a line; console: for people.", examples=["json"]),
    ] = "json"

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _lower_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("time_limit_seconds")
    @classmethod
    def _inside_the_buckets(cls, value: float) -> float:
        top = max(float(bound) for bound in load_contract().buckets["latency"])
        if value > top:
            raise ValueError(
                f"must be at most {top:g}, the top bucket of kronos_request_duration_seconds: slower requests "
                "could not be told from each other"
            )
        return value

    @field_validator("api_keys")
    @classmethod
    def _well_formed_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_api_keys(value)
        return value

    @field_validator("rate_limit")
    @classmethod
    def _well_formed_rate(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            items = limits.parse_many(value)
        except ValueError:
            raise ValueError("is not of the form <count>/<second|minute|hour|day>") from None
        if any(item.amount < 1 or item.amount > MAX_RATE or item.multiples < 1 for item in items):
            raise ValueError(f"must allow 1 to {MAX_RATE} requests in at least one unit of time")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.model != "demo" and self.tokenizer is None:
            raise ValueError(
                f"KRONOS_TOKENIZER is not set, but KRONOS_MODEL is {self.model!r}: set it to the tokenizer that "
                "the model was trained with, for example KRONOS_TOKENIZER=NeoQuasar/Kronos-Tokenizer-base"
            )
        if self.max_batch_items > self.queue_capacity:
            raise ValueError(
                f"KRONOS_MAX_BATCH_ITEMS={self.max_batch_items} is more than KRONOS_QUEUE_CAPACITY="
                f"{self.queue_capacity}: the largest batch would never find room; raise the one or lower the "
                "other"
            )
        return self


def parse_api_keys(value: SecretStr) -> dict[str, str]:
    """Client name to key, of the form ``name:key,name2:key2``. No message contains a key."""
    keys: dict[str, str] = {}
    for number, entry in enumerate(value.get_secret_value().split(","), start=1):
        name, colon, key = entry.strip().partition(":")
        if not colon or not _CLIENT_NAME.fullmatch(name):
            raise ValueError(f"entry {number} is not name:key with a name of letters, digits and ._- (at most 64)")
        if name in RESERVED_CLIENTS:
            raise ValueError(f"entry {number}: the name {name} is reserved, take another")
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"entry {number} ({name}): a key is 1 to 256 printable ASCII characters, without blanks and commas"
            )
        if name in keys:
            raise ValueError(f"entry {number}: the name {name} is there twice")
        if key in keys.values():
            raise ValueError(f"entry {number} ({name}): another client has the same key")
        keys[name] = key
    if len(keys) > MAX_CLIENTS:
        raise ValueError(f"has {len(keys)} clients: at most {MAX_CLIENTS}, each is a label value in the metrics")
    return keys


@dataclass(frozen=True, slots=True)
class Effective:
    """Settings as read: ``sources`` says per field ``environment``, ``.env`` or ``default``."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, str | int | float | None]:
        """Every setting by name, secrets hidden."""
        return {name: str(value) if isinstance(value, SecretStr) else value for name, value in self.settings}

    def lines(self) -> list[str]:
        """One line per setting, ``KRONOS_X=value  (source)``; secrets are hidden."""
        return [
            f"{PREFIX}{name.upper()}={'' if value is None else value}  ({self.sources[name]})"
            for name, value in self.settings
        ]


def read_settings(env_file: Path = Path(".env")) -> Effective:
    """Read and check the settings; raises SettingsError with every mistake in one text."""
    dotenv = _read_dotenv(env_file)
    try:
        # The parameter is pydantic-settings' own, which its mypy plugin would make known.
        settings = Settings(_env_file=env_file if dotenv else None)  # type: ignore[call-arg]
    except ValidationError as error:
        given = {**_upper(dotenv), **_upper(os.environ)}
        lines = [_explain(problem, given) for problem in error.errors()]
        raise SettingsError("the settings are not valid:\n" + "\n".join(f"- {line}" for line in lines)) from None
    sources = {name: _source(PREFIX + name.upper(), dotenv) for name in Settings.model_fields}
    warnings = (
        *_unknown(os.environ, "the environment"),
        *_unknown(dotenv, str(env_file)),
        *_weak_keys(settings),
    )
    return Effective(settings, sources, warnings)


def _read_dotenv(env_file: Path) -> dict[str, str | None]:
    if not env_file.is_file():
        return {}
    try:
        return dict(dotenv_values(env_file, encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {env_file.resolve()}: {error}; it must be readable UTF-8") from None


def _upper(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.upper(): value for name, value in variables.items()}


def _source(variable: str, dotenv: Mapping[str, str | None]) -> str:
    if _upper(os.environ).get(variable):
        return "environment"
    return ".env" if _upper(dotenv).get(variable) else "default"


def _explain(problem: Any, given: Mapping[str, str | None]) -> str:
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return str(reason)
    name = str(problem["loc"][0]).lower()
    variable = PREFIX + name.upper()
    field = Settings.model_fields[name]
    example = f"for example {variable}={(field.examples or [''])[0]}"
    if field.annotation == SecretStr | None:
        return f"{variable}=(hidden): {reason}; {example}"
    value = given.get(variable)
    if name == "port" and value and re.match(r"(tcp|udp|sctp)://", value):
        return (
            f"{variable}={value}: Kubernetes set this variable, because there is a Service named kronos; "
            "set enableServiceLinks: false in the pod's spec, or set KRONOS_PORT there yourself; " + example
        )
    return f"{variable}={value}: {reason[:1].lower()}{reason[1:]}; {example}"


def _unknown(variables: Mapping[str, str | None], where: str) -> list[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    warnings = []
    for name in variables:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or _SERVICE_LINK.fullmatch(upper):
            continue
        nearest = difflib.get_close_matches(upper, known, n=1)
        hint = f": did you mean {nearest[0]}?" if nearest else "; --check-config lists the settings there are"
        warnings.append(f"{name} in {where} is not a setting and has no effect{hint}")
    return warnings


def _weak_keys(settings: Settings) -> list[str]:
    keys = {} if settings.api_keys is None else parse_api_keys(settings.api_keys)
    return [
        f"the key of client {name} is shorter than 16 characters: make a longer one"
        for name, key in keys.items()
        if len(key) < 16
    ]
