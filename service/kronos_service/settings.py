"""Settings: ``KRONOS_*`` environment variables, then a ``.env`` file in the working folder, then the defaults.

The names are the same in both places, and an empty variable counts as not set. ``read_settings`` reports all
mistakes in one message, and warns of ``KRONOS_*`` names that are not settings.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import limits
from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kronos_mixin.contract import load_contract
from kronos_service.keys import parse_api_keys, parse_networks, parse_origins, read_key_file, weak_keys

PREFIX = "KRONOS_"
MAX_RATE = 100_000
"""Highest count of a rate limit: the moving window stores the time of every request."""

# Kubernetes injects these for a Service named `kronos` or `kronos-...`: they are not misspelt settings.
_SERVICE_LINK = re.compile(r"KRONOS_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")

_SERVICES = {"port": "kronos", "metrics_port": "kronos-metrics"}
"""Settings whose variables Kubernetes overwrites, each with the name of the Service that makes it do so."""


_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


class SettingsError(Exception):
    """The settings are wrong; the text names every variable, its value, the reason and an example."""


class Settings(BaseSettings):
    """All settings. The field ``queue_capacity`` is the variable ``KRONOS_QUEUE_CAPACITY``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    host: Annotated[
        str,
        Field(
            min_length=1,
            description="Address to listen on; 0.0.0.0 for all IPv4 interfaces.",
            examples=["127.0.0.1"],
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Field(
            ge=0,
            le=65535,
            description="TCP port to listen on; 0 picks a free one and logs it.",
            examples=["8000"],
        ),
    ] = 8000

    metrics_host: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Address to serve metrics on; default: KRONOS_HOST. Needs KRONOS_METRICS_PORT.",
            examples=["127.0.0.2"],
        ),
    ] = None
    metrics_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="TCP port to serve metrics on; KRONOS_PORT then serves none. Default: no separate port.",
            examples=["9464"],
        ),
    ] = None
    metrics_token: Annotated[
        SecretStr | None,
        Field(
            min_length=1,
            description="Token that scrapes must send as 'Authorization: Bearer'; default: none needed.",
            examples=["5d6e7f8091a2b3c4d5e6f708"],
        ),
    ] = None

    model: Annotated[
        str,
        Field(
            min_length=1,
            description="Folder or Hugging Face id of the model; demo is built in, and knows nothing of markets.",
            examples=["NeoQuasar/Kronos-mini"],
        ),
    ] = "demo"
    tokenizer: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Folder or Hugging Face id of the tokenizer; required unless the model is demo.",
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
            description="Longest history the model uses, in candles; default: what models of its size have.",
            examples=["512"],
        ),
    ] = None
    compat: Annotated[
        Literal["float32"] | None,
        Field(
            description="float32: normalise as the reference does, rounding included. By default forecasts do not "
            "depend on the unit of price, also where prices are very small or hardly vary.",
            examples=["float32"],
        ),
    ] = None
    device: Annotated[
        str,
        Field(
            pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$",
            description="Where the model runs: cpu, cuda, cuda:N, mps, or auto for the best there is.",
            examples=["auto"],
        ),
    ] = "cpu"
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        Field(
            description="Type of the weights: float32, or bfloat16, which takes half the memory and draws other "
            "tokens than the reference.",
            examples=["float32"],
        ),
    ] = "float32"
    torch_threads: Annotated[
        int | None,
        Field(
            ge=1,
            le=256,
            description="CPU threads of one model call. Default: the CPUs that the process may use, less one for the "
            "event loop, at most 8. Small models gain little from more than one: scale with replicas.",
            examples=["1"],
        ),
    ] = None
    load_retry_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Pause before a failed model load is retried; it doubles each time, up to ten times this.",
            examples=["10"],
        ),
    ] = 10.0

    batch_rows: Annotated[
        int,
        Field(
            ge=1,
            le=4096,
            description="Maximum sample paths that are decoded together; a series with more is decoded alone.",
            examples=["32"],
        ),
    ] = 32
    cache_bytes: Annotated[
        int,
        Field(
            ge=2**20,
            le=2**40,
            description="Memory for keys and values of the series in the model, in bytes; a series that needs more "
            "is decoded alone.",
            examples=["1073741824"],
        ),
    ] = 2**30
    context_hop: Annotated[
        int,
        Field(
            ge=1,
            le=65536,
            description="Candles that leave the model's window at once when it is full. 1 forecasts exactly as the "
            "reference does; more is faster and forecasts from a shorter history.",
            examples=["1"],
        ),
    ] = 1

    sick_failures: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Series that must fail in a row for the model to be tried with a series of our own. If that "
            "fails as well, the instance is not ready until the model works again.",
            examples=["5"],
        ),
    ] = 5
    stuck_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Time in one call of the model after which the instance is stuck: neither ready nor healthy. "
            "A call is a chunk of a history or one step, and takes a second or two at most.",
            examples=["60"],
        ),
    ] = 60.0

    queue_capacity: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Maximum number of series waiting for the model; beyond it requests get 503. One place in "
            "eight is reserved for callers with nothing waiting.",
            examples=["1024"],
        ),
    ] = 1024
    time_limit_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="Maximum time from the first byte of a request to its answer; beyond it 504.",
            examples=["120"],
        ),
    ] = 120.0
    max_candles: Annotated[
        int, Field(ge=2, le=65536, description="Maximum input candles per series.", examples=["2048"])
    ] = 2048
    max_horizon: Annotated[
        int, Field(ge=1, le=65536, description="Maximum forecast candles per series.", examples=["512"])
    ] = 512
    max_batch_items: Annotated[
        int, Field(ge=1, le=10_000, description="Maximum series per batch request.", examples=["512"])
    ] = 512
    max_samples: Annotated[
        int, Field(ge=1, le=1024, description="Maximum sample paths per series.", examples=["32"])
    ] = 32
    max_work: Annotated[
        int,
        Field(
            ge=1,
            description="Maximum of candles x horizon x samples per request, summed over its series.",
            examples=["50000000"],
        ),
    ] = 50_000_000
    max_model_seconds: Annotated[
        float | None,
        Field(
            gt=0,
            description="Maximum time that a request may take of the model alone, as the model was measured so far; "
            "what takes longer is refused at once. Default: the time limit.",
            examples=["60"],
        ),
    ] = None
    max_body_bytes: Annotated[
        int, Field(ge=1024, le=2**30, description="Maximum size of a request body, in bytes.", examples=["16777216"])
    ] = 16 * 2**20
    max_bytes_in_flight: Annotated[
        int,
        Field(
            ge=1024,
            le=2**40,
            description="Maximum bytes of request bodies in memory at once; beyond it requests get 503.",
            examples=["268435456"],
        ),
    ] = 256 * 2**20
    body_timeout_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=3600,
            description="Maximum time to receive the headers of a request, and again its body; beyond it 408.",
            examples=["10"],
        ),
    ] = 10.0

    api_keys: Annotated[
        SecretStr | None,
        Field(
            description="Clients and their keys, name:key separated by commas, at most 16; default: open to all.",
            examples=["alice:9f8e7d6c5b4a3928,bob:1a2b3c4d5e6f7081"],
        ),
    ] = None
    api_keys_file: Annotated[
        Path | None,
        Field(
            description="File with name:key lines, instead of KRONOS_API_KEYS; reloaded when it changes.",
            examples=["/run/secrets/kronos-api-keys"],
        ),
    ] = None
    allowed_networks: Annotated[
        str | None,
        Field(
            description="Networks, separated by commas, that need no key; if no keys are set, only these may call.",
            examples=["10.0.0.0/8,fd00::/8"],
        ),
    ] = None
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="Networks, separated by commas, of proxies that add to X-Forwarded-For: the last address "
            "there that is not one of theirs is the caller's, for rate limits, networks and logs. Default: none.",
            examples=["10.0.0.0/8"],
        ),
    ] = None
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins, separated by commas, of web pages that may call from a browser; * for all. "
            "Default: none.",
            examples=["https://desk.example.com"],
        ),
    ] = None
    rate_limit: Annotated[
        str | None,
        Field(
            description="Requests per client, in one or more periods separated by semicolons; default: no limit.",
            examples=["120/minute"],
        ),
    ] = None

    root_path: Annotated[
        str | None,
        Field(
            pattern=r"^(/[A-Za-z0-9._~-]+)+$",
            description="Path under which a proxy serves the service, whether it removes it or not; default: none.",
            examples=["/kronos"],
        ),
    ] = None
    keep_alive_seconds: Annotated[
        float,
        Field(
            gt=0,
            le=86400,
            description="How long an idle connection stays open. Keep it above what proxies and load balancers have: "
            "otherwise they send requests into connections that are being closed.",
            examples=["620"],
        ),
    ] = 620.0
    drain_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="How long to keep answering after the first stop signal, while readiness already fails.",
            examples=["5"],
        ),
    ] = 5.0
    shutdown_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="How long after the drain to wait for running requests; then they get 503. Keep the sum of "
            "both below the time that the platform waits before it kills.",
            examples=["20"],
        ),
    ] = 20.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="Lowest level that is logged.", examples=["info"]),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        Field(description="json: one object per line; console: for people.", examples=["json"]),
    ] = "json"
    log_rejections: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Maximum lines in 10 s for rejected requests of one kind; one more line counts the rest.",
            examples=["20"],
        ),
    ] = 20

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
                "could not be measured"
            )
        return value

    @field_validator("api_keys")
    @classmethod
    def _well_formed_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_api_keys(value.get_secret_value())
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _readable_keys(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_key_file(value)
        return value

    @field_validator("host", "metrics_host")
    @classmethod
    def _host_without_port(cls, value: str | None) -> str | None:
        if value is not None and not _HOST.fullmatch(value) and not _is_address(value):
            raise ValueError("is not an address or a host name alone: the port is a setting of its own")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _well_formed_origins(cls, value: str | None) -> str | None:
        if value is not None:
            parse_origins(value)
        return value

    @field_validator("allowed_networks", "trusted_proxies")
    @classmethod
    def _well_formed_networks(cls, value: str | None) -> str | None:
        if value is not None:
            parse_networks(value)
        return value

    @field_validator("metrics_token")
    @classmethod
    def _printable_token(cls, value: SecretStr | None) -> SecretStr | None:
        # Anything else cannot be sent in a header, so it would never match.
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("must be printable ASCII without spaces")
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
        if self.api_keys is not None and self.api_keys_file is not None:
            raise ValueError("KRONOS_API_KEYS and KRONOS_API_KEYS_FILE are both set: keep one of them")
        if self.metrics_host is not None and self.metrics_port is None:
            raise ValueError(
                f"KRONOS_METRICS_HOST={self.metrics_host} has no effect without KRONOS_METRICS_PORT: set it, for "
                "example KRONOS_METRICS_PORT=9464"
            )
        if self.port and (self.metrics_host or self.host, self.metrics_port) == (self.host, self.port):
            raise ValueError(
                f"KRONOS_PORT and KRONOS_METRICS_PORT are both {self.port}: set KRONOS_METRICS_PORT to another port, "
                "or leave it out to be scraped on the main one"
            )
        if self.max_body_bytes > self.max_bytes_in_flight:
            raise ValueError(
                f"KRONOS_MAX_BODY_BYTES={self.max_body_bytes} is more than KRONOS_MAX_BYTES_IN_FLIGHT="
                f"{self.max_bytes_in_flight}: the largest body would never fit; lower the first or raise the second"
            )
        if self.max_batch_items > self.queue_capacity:
            raise ValueError(
                f"KRONOS_MAX_BATCH_ITEMS={self.max_batch_items} is more than KRONOS_QUEUE_CAPACITY="
                f"{self.queue_capacity}: the largest batch would never fit; lower the first or raise the second"
            )
        return self


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def read_api_keys(settings: Settings) -> dict[str, str] | None:
    """Client name to key, or None without keys. Raises ValueError if the key file is not valid."""
    if settings.api_keys_file is not None:
        return read_key_file(settings.api_keys_file)
    return None if settings.api_keys is None else parse_api_keys(settings.api_keys.get_secret_value())


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings in force; ``sources`` maps each field to ``environment``, ``.env`` or ``default``."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, str | int | float | None]:
        """All settings by name, secrets hidden."""
        return {name: str(value) if isinstance(value, SecretStr | Path) else value for name, value in self.settings}

    def lines(self) -> list[str]:
        """One line per setting, ``KRONOS_X=value  (source)``; secrets are hidden."""
        return [
            f"{PREFIX}{name.upper()}={'' if value is None else value}  ({self.sources[name]})"
            for name, value in self.settings
        ]


def read_settings(env_file: Path = Path(".env")) -> Effective:
    """Read and check the settings; raises SettingsError with all mistakes in one message."""
    dotenv = _read_dotenv(env_file)
    try:
        # A parameter of pydantic-settings, known to mypy only through pydantic's plugin.
        settings = Settings(_env_file=env_file if dotenv else None)  # type: ignore[call-arg]
    except ValidationError as error:
        given = {**_upper(dotenv), **_upper(os.environ)}
        lines = [_explain(problem, given) for problem in error.errors()]
        raise SettingsError("the settings are not valid:\n" + "\n".join(f"- {line}" for line in lines)) from None
    sources = {name: _source(PREFIX + name.upper(), dotenv) for name in Settings.model_fields}
    warnings = (
        *_unknown(os.environ, "the environment"),
        *_unknown(dotenv, str(env_file)),
        *weak_keys(read_api_keys(settings) or {}),
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
    if name in _SERVICES and value and re.match(r"(tcp|udp|sctp)://", value):
        return (
            f"{variable}={value}: Kubernetes set this variable, because there is a Service named {_SERVICES[name]}; "
            f"set enableServiceLinks: false in the pod's spec, or set {variable} there yourself; " + example
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
        hint = f": did you mean {nearest[0]}?" if nearest else "; --check-config lists all settings"
        warnings.append(f"{name} in {where} is not a setting and has no effect{hint}")
    return warnings
