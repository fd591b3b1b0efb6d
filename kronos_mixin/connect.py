"""Where a user's servers are, and how to be let in: one place for addresses, credentials, TLS and tenants.

A connection is described in the words of Prometheus' own `http_config`, in a small YAML file:

    prometheus:
      url: https://mimir.example.com/prometheus
      authorization: {credentials_file: token}
      http_headers: {X-Scope-OrgID: {values: [quant]}}
    rulers:
      - url: http://ruler-1:10902
    alertmanager: {url: http://alertmanager:9093}
    grafana: {url: https://grafana.example.com, authorization: {credentials_file: grafana-token}}
    service: {url: http://forecasts-1:8000}
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

_SECONDS = 30.0
_SAID = 300
"""Characters that a message quotes of an answer."""


class ConnectError(Exception):
    """A connection is described wrongly; the message says where, and what is right."""


class AnswerError(Exception):
    """A server did not answer, or refused, in one sentence. `status` is that of HTTP; None: there was no answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def forbidden(self) -> bool:
        """Whether the server wants other credentials, or does not let these do that."""
        return self.status in {401, 403}

    @property
    def missing(self) -> bool:
        """Whether the server has no such thing, or no such part of the API."""
        return self.status in {404, 405, 501}


class Client(httpx.Client):
    """A client whose paths are below the connection's address, and whose only error is AnswerError."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request. Raises AnswerError if there is no answer; any status is one."""
        try:
            return super().send(request, **options)
        except httpx.InvalidURL as error:
            raise AnswerError(f"{_shown(request.url)}: {error}") from error
        except httpx.HTTPError as error:
            raise AnswerError(f"{_shown(request.url)} {_reason(error)}") from error

    def data(self, path: str, method: str = "GET", **options: Any) -> Any:
        """The JSON that the server answers with. Raises AnswerError for another status than 2xx, or other content."""
        answer = self.request(method, path, **options)
        if not answer.is_success:
            raise AnswerError(
                f"{_shown(answer.url)} answers {answer.status_code} {answer.reason_phrase}{_quoted(answer)}",
                answer.status_code,
            )
        try:
            return answer.json()
        except ValueError as error:
            raise AnswerError(
                f"{_shown(answer.url)} answers with something other than JSON{_quoted(answer)}: is the address right?"
            ) from error


@dataclass(frozen=True)
class Connection:
    """One server: its address, without a slash at the end, and the parts of `http_config` that let us in."""

    url: str
    authorization: Mapping[str, str] = field(default_factory=dict)
    """`type` (Bearer), and `credentials` or `credentials_file`."""
    basic_auth: Mapping[str, str] = field(default_factory=dict)
    """`username`, and `password` or `password_file`."""
    tls_config: Mapping[str, Any] = field(default_factory=dict)
    """`ca_file`, `cert_file`, `key_file`, `server_name`, `insecure_skip_verify`."""
    http_headers: Mapping[str, str] = field(default_factory=dict)
    """By name, such as that of a tenant."""

    @classmethod
    def to(cls, url: str, **options: Any) -> Connection:
        """A connection to an address as people write it: the scheme may lack, a user and password may be in it.

        Raises ConnectError.
        """
        parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
            raise ConnectError(f"{_without_password(url)} is no address such as http://localhost:9090")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        bare = urllib.parse.urlunsplit(
            (parts.scheme, f"{host}:{port}" if port else host, parts.path.rstrip("/"), "", "")
        )
        if parts.username is not None:
            user, password = (urllib.parse.unquote(text or "") for text in (parts.username, parts.password))
            options.setdefault("basic_auth", {"username": user, "password": password})
        return cls(bare, **options)

    def at(self, url: str) -> Connection:
        """The same server under another address of its own; no credentials for any other. Raises ConnectError."""
        other = Connection.to(url)
        same = urllib.parse.urlsplit(self.url)[:2] == urllib.parse.urlsplit(other.url)[:2]
        return dataclasses.replace(self, url=other.url) if same else other

    def client(self, seconds: float = _SECONDS) -> Client:
        """A client for this server, which waits so long for an answer. Raises ConnectError for an unreadable file."""
        server_name = self.tls_config.get("server_name")

        def name_server(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = server_name

        return Client(
            base_url=self.url,
            headers={**self.http_headers, **self._authorization()},
            auth=self._basic(),
            verify=self._tls(),
            timeout=seconds,
            follow_redirects=True,
            # The environment's proxy can't reach servers on this machine.
            trust_env=not is_here(self.url),
            event_hooks={"request": [name_server]} if server_name else {},
        )

    def _authorization(self) -> dict[str, str]:
        given = self.authorization
        secret = given.get("credentials") or _content(given.get("credentials_file"))
        return {"Authorization": f"{given.get('type', 'Bearer')} {secret}"} if secret else {}

    def _basic(self) -> httpx.BasicAuth | None:
        given = self.basic_auth
        if not given:
            return None
        password = given.get("password") or _content(given.get("password_file"))
        return httpx.BasicAuth(given.get("username", ""), password)

    def _tls(self) -> ssl.SSLContext:
        given = self.tls_config
        if not given.keys() & {"ca_file", "cert_file", "insecure_skip_verify"}:
            return _trusted()
        try:
            context = ssl.create_default_context(cafile=given.get("ca_file"))
            if given.get("cert_file"):
                context.load_cert_chain(given["cert_file"], given.get("key_file"))
        except OSError as error:  # SSLError is one.
            file = (
                given.get("ca_file") if "cert_file" not in given else f"{given.get('ca_file')}, {given['cert_file']}"
            )
            raise ConnectError(f"tls_config for {self.url}: {file}: {error.strerror or error}") from error
        if given.get("insecure_skip_verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class Connections:
    """The servers of one stack. `rulers` are those that evaluate the rules where Prometheus itself does not."""

    prometheus: Connection | None = None
    rulers: tuple[Connection, ...] = ()
    alertmanager: Connection | None = None
    grafana: Connection | None = None
    service: Connection | None = None


def read(path: Path) -> Connections:
    """Read the file of connections; relative paths in it are relative to it. Raises ConnectError."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConnectError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConnectError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    known = [one.name for one in dataclasses.fields(Connections)]
    if not isinstance(data, dict) or not data.keys() <= set(known):
        wrong = ", ".join(map(str, data.keys() - set(known))) if isinstance(data, dict) else type(data).__name__
        raise ConnectError(f"{path}: has {wrong}, where only {', '.join(known)} can be")
    found: dict[str, Any] = {}
    for name, section in data.items():
        if name == "rulers":
            listed = section if isinstance(section, list) else [section]
            found[name] = tuple(_connection(one, path, f"rulers[{place}]") for place, one in enumerate(listed))
        else:
            found[name] = _connection(section, path, name)
    return Connections(**found)


_KEYS = {
    "authorization": {"type", "credentials", "credentials_file"},
    "basic_auth": {"username", "password", "password_file"},
    "tls_config": {"ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify"},
}


def _connection(section: Any, path: Path, place: str) -> Connection:
    if isinstance(section, str):
        section = {"url": section}
    if not isinstance(section, dict) or not isinstance(section.get("url"), str):
        raise ConnectError(f"{path}: {place} must hold a url")
    options: dict[str, Any] = {}
    for key, value in section.items():
        if key == "url":
            continue
        if key not in {*_KEYS, "http_headers"} or not isinstance(value, dict):
            raise ConnectError(
                f"{path}: {place}.{key}: only {', '.join(_KEYS)} and http_headers can be there, each an object"
            )
        if wrong := value.keys() - _KEYS.get(key, value.keys()):
            raise ConnectError(
                f"{path}: {place}.{key}.{min(wrong)}: only {', '.join(sorted(_KEYS[key]))} can be there"
            )
        if key == "http_headers":
            options[key] = {str(name): _header(given, path, f"{place}.{key}.{name}") for name, given in value.items()}
        else:
            options[key] = {
                name: str(path.parent / given) if name.endswith("_file") else given for name, given in value.items()
            }
    try:
        return Connection.to(section["url"], **options)
    except ConnectError as error:
        raise ConnectError(f"{path}: {place}: {error}") from None


def _header(given: Any, path: Path, place: str) -> str:
    """A header's value: a text, or as in Prometheus a list of `values`, `secrets` or `files`."""
    if not isinstance(given, dict):
        return str(given)
    listed = [*given.get("values", ()), *given.get("secrets", ())]
    listed += [_content(str(path.parent / file)) for file in given.get("files", ())]
    if not listed or given.keys() - {"values", "secrets", "files"}:
        raise ConnectError(f"{path}: {place}: must be a text, or hold values, secrets or files")
    return ", ".join(map(str, listed))


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted by default. Reading them takes longer than asking a server."""
    return httpx.create_ssl_context()


def _content(path: str | None) -> str:
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def is_here(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: httpx.HTTPError) -> str:
    """What went wrong, after the address."""
    match error:
        case httpx.ConnectTimeout() | httpx.TimeoutException():
            return "does not answer in time"
        case httpx.ConnectError() if "CERTIFICATE" in str(error) or "SSL" in str(error):
            return f"can't be trusted: {error}"
        case httpx.ConnectError():
            return f"can't be reached: {error}"
        case httpx.TooManyRedirects():
            return "redirects without end"
        case _:
            return f"breaks off: {error or type(error).__name__}"


def _shown(url: httpx.URL) -> str:
    """An address without its query, which may be long."""
    return str(url.copy_with(query=None))


def _quoted(answer: httpx.Response) -> str:
    said = " ".join(answer.text.split())
    if not said:
        return ""
    return f" ({said[:_SAID]}{'...' if len(said) > _SAID else ''})"


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"...@{tail}" if head and at else url
