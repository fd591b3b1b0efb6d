"""A client of Grafana's HTTP API, of both its generations: `/api`, and `/apis` of Grafana 12 and newer.

Dashboards are asked for by `/api`, which every supported version has. What it can't give, a dashboard that is kept in
the newer schema, or a server without it, is asked for by `/apis`, and comes in the older schema from there, too.
"""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from kronos_mixin.connect import AnswerError, Connection

VERSIONS = ("v1", "v1beta1", "v0alpha1")
"""Versions of `dashboard.grafana.app` whose dashboards are in the older schema, as files are, the best first."""

DEFAULT = "default"
"""The value of a data source variable that means the default data source."""

_PAGE = 1000
_NOT_ACCEPTABLE = 406
"""How `/api` answers for a dashboard that is kept in the newer schema."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard as it is kept: `spec` is its JSON, `version` counts how often it was saved.

    `file` is where it was provisioned from; it is empty for one that was not, and for one that Grafana does not tell
    the file of. `folder` is the title of its folder ("" at the top), `folder_uid` that folder's uid.
    """

    uid: str
    spec: Mapping[str, Any]
    version: int
    folder: str = ""
    folder_uid: str = ""
    provisioned: bool = False
    file: str = ""
    updated: str = ""
    """When it was saved last, as an ISO date, and by whom; empty if not told."""
    updated_by: str = ""
    revision: str = ""
    """What `/apis` wants back with a change, and the message of the last save; empty if `/api` was asked."""
    message: str = ""
    newer_schema: bool = False
    """Whether it is kept in the schema of version 2, which `spec` was converted from."""


@dataclass(frozen=True)
class Hit:
    """A dashboard that a search found."""

    uid: str
    title: str
    folder: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class DataSource:
    """A data source. `type` is the id of its plugin, such as `prometheus`."""

    uid: str
    name: str
    type: str
    is_default: bool
    url: str = ""
    """Where Grafana reaches it; empty if these credentials may not see it."""


class Grafana:
    """Requests to a Grafana. Every method raises AnswerError if it does not answer or refuses."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._client = connection.client()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @cached_property
    def version(self) -> str:
        """Its version, such as "12.1.0". Needs no credentials. Raises AnswerError if it is another program."""
        found = self._client.data("/api/health")
        if not isinstance(found, dict) or "database" not in found:
            raise AnswerError(f"{self.connection.url} is no Grafana: /api/health has no `database`")
        return str(found.get("version", ""))

    def log_in(self) -> None:
        """Raise AnswerError unless it knows the credentials, whatever they may do."""
        self._client.data("/api/org")

    def dashboard(self, uid: str) -> Dashboard | None:
        """The dashboard with a uid; None if there is none, or it is hidden from these credentials."""
        try:
            return _from_api(self._client.data(f"/api/dashboards/uid/{_quoted(uid)}"))
        except AnswerError as error:
            if not error.missing and error.status != _NOT_ACCEPTABLE:
                raise
            return self._from_apis(uid, kept_newer=error.status == _NOT_ACCEPTABLE)

    def search(self, query: str = "", *, tags: Sequence[str] = (), kind: str = "dash-db") -> list[Hit]:
        """Dashboards (or folders: kind `dash-folder`) whose title has a text, and that have all of the tags."""
        return list(self._search({"query": query, "tag": list(tags), "type": kind}))

    def folders(self) -> dict[str, str]:
        """The titles of all folders by their uids."""
        return {hit.uid: hit.title for hit in self.search(kind="dash-folder")}

    def data_sources(self) -> list[DataSource]:
        """All data sources that these credentials may query, by name."""
        try:
            listed = self._client.data("/api/datasources")
        except AnswerError as error:
            if not error.forbidden or not (listed := self._of_frontend()):
                raise
        found = [
            DataSource(one["uid"], one["name"], one["type"], bool(one.get("isDefault")), one.get("url") or "")
            for one in listed
        ]
        return sorted(found, key=lambda one: one.name.lower())

    def unhealthy(self, uid: str) -> str:
        """Why a data source does not work, in Grafana's words; empty if it does, or if Grafana does not tell."""
        answer = self._client.get(f"/api/datasources/uid/{_quoted(uid)}/health")
        if answer.status_code != httpx.codes.BAD_REQUEST:
            return ""
        try:
            return str(answer.json().get("message") or "it does not say why")
        except (ValueError, AttributeError):
            return answer.text

    def behind(self, uid: str) -> Connection:
        """The server behind a data source, through Grafana's proxy."""
        return dataclasses.replace(
            self.connection, url=f"{self.connection.url}/api/datasources/proxy/uid/{_quoted(uid)}"
        )

    @cached_property
    def apis_version(self) -> str | None:
        """The version of `dashboard.grafana.app` to use, out of VERSIONS; None if the server has none of these."""
        try:
            group = self._client.data("/apis/dashboard.grafana.app")
        except AnswerError as error:
            if not error.missing and error.status != httpx.codes.FORBIDDEN:
                raise
            return None
        served = {one.get("version") for one in group.get("versions", ())}
        return next((version for version in VERSIONS if version in served), None)

    @cached_property
    def namespace(self) -> str:
        """What `/apis` calls the organisation of these credentials."""
        return str(self._settings.get("namespace") or "default")

    def apis_path(self, uid: str = "", group: str = "dashboard", kind: str = "dashboards") -> str:
        """The path below `/apis` of an object, or of all if `uid` is empty."""
        version = self.apis_version or VERSIONS[0]
        base = f"/apis/{group}.grafana.app/{version}/namespaces/{_quoted(self.namespace)}/{kind}"
        return f"{base}/{_quoted(uid)}" if uid else base

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What every user's browser is told."""
        found: dict[str, Any] = self._client.data("/api/frontend/settings")
        return found

    def _from_apis(self, uid: str, *, kept_newer: bool) -> Dashboard | None:
        if self.apis_version is None:
            return None
        try:
            found = self._client.data(self.apis_path(uid))
        except AnswerError as error:
            if error.missing:
                return None
            raise
        conversion = (found.get("status") or {}).get("conversion") or {}
        if conversion.get("failed"):
            raise AnswerError(
                f"{uid} is kept in the schema {conversion.get('storedVersion')}, which Grafana fails to convert: "
                f"{conversion.get('error', 'it does not say why')}"
            )
        metadata = found["metadata"]
        notes = metadata.get("annotations") or {}
        folder_uid = notes.get("grafana.app/folder", "")
        return Dashboard(
            uid=metadata["name"],
            spec=found["spec"],
            version=int(metadata.get("generation") or 0),
            folder=self.folders().get(folder_uid, "") if folder_uid else "",
            folder_uid=folder_uid,
            provisioned="grafana.app/managedBy" in notes,
            file=notes.get("grafana.app/sourcePath", ""),
            updated=notes.get("grafana.app/updatedTimestamp") or metadata.get("creationTimestamp", ""),
            updated_by=notes.get("grafana.app/updatedBy") or notes.get("grafana.app/createdBy", ""),
            revision=metadata.get("resourceVersion", ""),
            message=notes.get("grafana.app/message", ""),
            newer_schema=kept_newer or str(conversion.get("storedVersion", "")).startswith("v2"),
        )

    def _search(self, asked: Mapping[str, Any]) -> Iterator[Hit]:
        page = 1
        while True:
            found = self._client.data("/api/search", params={**asked, "limit": _PAGE, "page": page})
            for one in found:
                yield Hit(one["uid"], one["title"], one.get("folderTitle", ""), tuple(one.get("tags") or ()))
            if len(found) < _PAGE:
                return
            page += 1

    def _of_frontend(self) -> list[dict[str, Any]]:
        """The data sources as every user's browser is told of them."""
        settings = self._settings
        default = settings.get("defaultDatasource")
        return [
            {**one, "name": name, "isDefault": name == default, "url": ""}
            for name, one in (settings.get("datasources") or {}).items()
            if one.get("uid") and not (one.get("meta") or {}).get("builtIn")
        ]


def _from_api(found: Mapping[str, Any]) -> Dashboard:
    meta, spec = found["meta"], found["dashboard"]
    return Dashboard(
        uid=spec["uid"],
        spec=spec,
        version=int(spec.get("version") or meta.get("version") or 0),
        folder=meta.get("folderTitle", "") if meta.get("folderUid") else "",
        folder_uid=meta.get("folderUid", ""),
        provisioned=bool(meta.get("provisioned")),
        file=meta.get("provisionedExternalId", ""),
        updated=meta.get("updated", ""),
        updated_by=meta.get("updatedBy", ""),
    )


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
