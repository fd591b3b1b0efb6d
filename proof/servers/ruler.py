"""A stand-in for a ruler whose rule groups are set through an API: Mimir, or Cortex.

No package has either. It answers as Mimir's documents of its API say, has promtool check the groups as they come, and
gives them back as Mimir does: durations in its own words, without fields that say nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import yaml
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kronos_mixin.windows import duration, seconds
from proof.servers.asgi import serving
from proof.servers.binaries import Tools

MIMIR, CORTEX = "/prometheus/config/v1/rules", "/api/v1/rules"

_DURATIONS = ("for", "keep_firing_for", "interval", "query_offset")


class Ruler:
    """A ruler on a loopback port, as a context manager. `base` is where its API is.

    `namespaces` holds the groups of the tenant `tenant`, by namespace and name; change them at any time.
    """

    def __init__(self, tools: Tools, base: str = MIMIR, tenant: str = "anonymous") -> None:
        self.base = base
        self.tenant = tenant
        self.namespaces: dict[str, dict[str, dict[str, Any]]] = {}
        self.url = ""
        self._tools = tools

    def rule_file(self, namespace: str) -> str:
        """The groups of a namespace, as a file for Prometheus."""
        return yaml.safe_dump({"groups": list(self.namespaces.get(namespace, {}).values())})

    def __enter__(self) -> Self:
        methods = ["GET", "POST", "DELETE"]
        routes = [Route(path, self._answer, methods=methods) for path in (self.base, f"{self.base}/{{rest:path}}")]
        if self.base == MIMIR:
            # What it runs, in the words of Prometheus; the stand-in runs nothing.
            routes.append(Route("/prometheus/api/v1/rules", self._running))
        self._served = contextlib.ExitStack()
        self.url = self._served.enter_context(serving("the stand-in for a ruler", routes))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._served.close()

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("x-scope-orgid", "anonymous") != self.tenant:
            return Response("no org id\n", 401, media_type="text/plain")
        # A slash in a name is written %2F, and is no separator.
        below = request.scope["raw_path"].decode().removeprefix(self.base)
        names = [unquote(part) for part in below.split("/")[1:]]
        match request.method, names:
            case "GET", _:
                return self._list(*names)
            case "POST", [namespace]:
                return await self._put(namespace, await request.body())
            case "DELETE", [namespace, name]:
                return self._delete(namespace, name)
        return Response("404 page not found\n", 404, media_type="text/plain")

    def _list(self, namespace: str | None = None) -> Response:
        shown = {
            name: [_shown(group) for group in groups.values()]
            for name, groups in self.namespaces.items()
            if groups and namespace in (None, name)
        }
        if not shown and (namespace or self.base == CORTEX):
            return Response("no rule groups found\n", 404, media_type="text/plain")
        return Response(yaml.safe_dump(shown), media_type="application/yaml")

    async def _put(self, namespace: str, body: bytes) -> Response:
        try:
            group = yaml.safe_load(body)
            name = group["name"]
        except (yaml.YAMLError, TypeError, KeyError):
            return Response("unable to decode rule group\n", 400, media_type="text/plain")
        if wrong := await run_in_threadpool(self._wrong, group):
            return Response(wrong, 400, media_type="text/plain")
        self.namespaces.setdefault(namespace, {})[name] = group
        return _ACCEPTED

    def _delete(self, namespace: str, name: str) -> Response:
        if name not in self.namespaces.get(namespace, {}):
            return Response("group does not exist\n", 404, media_type="text/plain")
        del self.namespaces[namespace][name]
        return _ACCEPTED

    async def _running(self, _: Request) -> Response:
        return JSONResponse({"status": "success", "data": {"groups": []}, "errorType": "", "error": ""})

    def _wrong(self, group: dict[str, Any]) -> str:
        """What promtool has against a group; empty if nothing."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rules.yml"
            file.write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
            checked = subprocess.run(
                [self._tools.promtool, "check", "rules", file], capture_output=True, text=True, check=False
            )
        return checked.stderr if checked.returncode else ""


_ACCEPTED = JSONResponse({"status": "success", "data": None, "errorType": "", "error": ""}, 202)


def _shown(value: Any, key: str = "") -> Any:
    """A group as Go writes it."""
    if key in _DURATIONS:
        return duration(seconds(str(value)))
    if isinstance(value, dict):
        fields = {name: _shown(item, name) for name, item in value.items()}
        return {name: item for name, item in fields.items() if item not in ("", "0s", {}, [], None)}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value
