"""What a Grafana holds: dashboards, folders, data sources, and who may do what."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.requests import Request

_EDITS = {"dashboards:read", "folders:read", "folders:create", "datasources:query", "dashboards:write"}
ACTIONS = {
    "Admin": {*_EDITS, "datasources:read"},
    "Editor": _EDITS,
    "Viewer": {"dashboards:read", "folders:read", "datasources:query"},
    "None": set[str](),
}
"""What each basic role may do, as Grafana grants it at first."""


class Refusal(Exception):  # noqa: N818 - It is an answer.
    """An answer with another status than 200, and with a message and more in its body."""

    def __init__(self, code: int, message: str, /, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.body = {"message": message, **more}


@dataclass
class Kept:
    """A dashboard as it is kept."""

    id: int
    spec: dict[str, Any]
    folder_uid: str
    version: int = 1
    """How often it was saved."""
    file: str = ""
    """Where it was provisioned from; empty: it was not."""
    by: str = "admin"
    message: str = ""
    """What whoever saved it said of it."""
    schema: str = "v1beta1"
    """The version of `dashboard.grafana.app` in which it was saved."""
    saved: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def slug(self) -> str:
        """Its title, as it may stand in an address."""
        return slug(self.spec["title"])

    @property
    def date(self) -> str:
        """When it was saved."""
        return self.saved.isoformat(timespec="seconds").replace("+00:00", "Z")


class Store:
    """What is in a Grafana. Anything may be changed at any time.

    `token` lets an Admin in; `tokens` has those of other roles, and `actions` what roles may do.
    """

    def __init__(self, version: str, apis: tuple[str, ...], *, api: bool) -> None:
        self.apis = apis
        self.api = api
        self.token = "glsa_admin"  # noqa: S105 - Nothing is behind it.
        self.tokens = {self.token: "Admin", "glsa_editor": "Editor", "glsa_viewer": "Viewer", "glsa_none": "None"}
        self._first = version
        self.upstream = httpx.Client(trust_env=False, timeout=30)
        self.clear()

    def clear(self) -> None:
        """Hold nothing, as at first."""
        self.version = self._first
        self.actions = copy.deepcopy(ACTIONS)
        self.folders: dict[str, str] = {}
        self.dashboards: dict[str, Kept] = {}
        self.data_sources: dict[str, dict[str, Any]] = {}

    def add_folder(self, title: str) -> str:
        """Make a folder, unless there is one of that title; returns its uid."""
        known = [uid for uid, one in self.folders.items() if one == title]
        if known:
            return known[0]
        uid = f"folder-{len(self.folders) + 1}"
        self.folders[uid] = title
        return uid

    def keep(self, dashboard: Mapping[str, Any], folder: str = "", **how: Any) -> Kept:
        """Keep a dashboard in a folder ("": at the top), as a save or provisioning would; `how` as in Kept."""
        spec = copy.deepcopy(dict(dashboard))
        before = self.dashboards.get(spec["uid"])
        kept = Kept(
            id=before.id if before else len(self.dashboards) + 1,
            spec=spec,
            folder_uid=self.add_folder(folder) if folder else "",
            **{"version": before.version + 1 if before else 1, **how},
        )
        kept.spec |= {"id": kept.id, "version": kept.version}
        self.dashboards[spec["uid"]] = kept
        return kept

    def add_data_source(
        self, uid: str, name: str, url: str, *, kind: str = "prometheus", default: bool = False
    ) -> None:
        """Add a data source with the id of its plugin."""
        self.data_sources[uid] = {
            "id": len(self.data_sources) + 1,
            "uid": uid,
            "orgId": 1,
            "name": name,
            "type": kind,
            "typeName": kind.capitalize(),
            "typeLogoUrl": f"public/plugins/{kind}/img/logo.svg",
            "access": "proxy",
            "url": url,
            "user": "",
            "database": "",
            "basicAuth": False,
            "isDefault": default,
            "jsonData": {"httpMethod": "POST"},
            "readOnly": False,
        }

    def allow(self, request: Request, action: str) -> None:
        """Refuse what Grafana would: an API that this version lacks, a bad token, an action that its role lacks."""
        path = request.url.path
        if (path.startswith("/apis") and not self.apis) or (path.startswith("/api/dashboards") and not self.api):
            raise Refusal(404, "Not found")
        _, _, token = request.headers.get("authorization", "").partition(" ")
        if token not in self.tokens:
            message = "Invalid API key" if token else "Unauthorized"
            raise Refusal(401, message, messageId="auth.unauthorized", statusCode=401, traceID="")
        if action and action not in self.actions[self.tokens[token]]:
            message = f"You'll need additional permissions to perform this action. Permissions needed: {action}"
            raise Refusal(403, message, title="Access denied", accessErrorId="ACE0000000000")

    def may(self, request: Request, action: str) -> bool:
        """Whether a request's credentials may do something."""
        try:
            self.allow(request, action)
        except Refusal:
            return False
        return True


@dataclass(frozen=True)
class Endpoint:
    """A part of the API. `answer` gets the body of a request, and returns a response or what goes into one as JSON.

    `action` is what credentials must allow; empty: any that are known will do.
    """

    method: str
    path: str
    answer: Callable[[Store, Request, bytes], Any]
    action: str = ""


def slug(title: str) -> str:
    """A title, as it may stand in an address."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def read(body: bytes) -> Mapping[str, Any]:
    """The JSON of a request; refuses anything else as Grafana does."""
    try:
        data: Mapping[str, Any] = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "bad request data") from error
    return data
