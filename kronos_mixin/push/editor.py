"""Writes to Grafana, by both generations of its API."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from kronos_mixin.connect import AnswerError
from kronos_mixin.grafana import VERSIONS, Dashboard, Grafana

_FOLDER, _MESSAGE = "grafana.app/folder", "grafana.app/message"
_CONFLICT = 409


class Editor(Grafana):
    """A Grafana to write to. What was read is only overwritten as it was read. All methods raise AnswerError."""

    def message(self, live: Dashboard) -> str:
        """What whoever saved a dashboard last said of it; empty if nothing."""
        if live.revision:
            return live.message
        found = self._client.data(f"/api/dashboards/uid/{_quoted(live.uid)}/versions", params={"limit": 1})
        # A list before Grafana 11.
        listed = found["versions"] if isinstance(found, dict) else found
        latest: dict[str, Any] = max(listed, key=lambda one: int(one["version"]), default={})
        return str(latest.get("message", ""))

    def save(self, spec: Mapping[str, Any], live: Dashboard | None, folder_uid: str, message: str) -> None:
        """Save a dashboard where `live` is now; None: where none is."""
        if live is None or not live.revision:
            body = {
                "dashboard": {**spec, "id": None, "version": live.version if live else 0},
                "folderUid": folder_uid,
                "message": message,
                "overwrite": False,
            }
            try:
                self._client.data("/api/dashboards/db", "POST", json=body)
            except AnswerError as error:
                if not error.missing or self.apis_version is None:
                    raise _told(error, "version-mismatch") from None
            else:
                return
        self._put(spec, live, folder_uid, message)

    def delete(self, live: Dashboard) -> None:
        """Delete a dashboard, if it still is as it was read."""
        now = self.dashboard(live.uid)
        if now is None:
            return
        if (now.version, now.revision) != (live.version, live.revision):
            raise AnswerError("somebody has changed it meanwhile: nothing was deleted", _CONFLICT)
        path = self.apis_path(live.uid) if live.revision else f"/api/dashboards/uid/{_quoted(live.uid)}"
        self._client.data(path, "DELETE")

    def make_folder(self, title: str) -> str:
        """Make a folder at the top; returns its uid."""
        try:
            return str(self._client.data("/api/folders", "POST", json={"title": title})["uid"])
        except AnswerError as error:
            if not error.missing or self.apis_version is None:
                raise
        path = self.apis_path(group="folder", kind="folders")
        body = {
            "apiVersion": f"folder.grafana.app/{self.apis_version}",
            "kind": "Folder",
            "metadata": {"generateName": "f"},
            "spec": {"title": title},
        }
        return str(self._client.data(path, "POST", json=body)["metadata"]["name"])

    def _put(self, spec: Mapping[str, Any], live: Dashboard | None, folder_uid: str, message: str) -> None:
        uid = spec["uid"]
        notes = {_MESSAGE: message, **({_FOLDER: folder_uid} if folder_uid else {})}
        metadata = {"name": uid, "namespace": self.namespace, "annotations": notes}
        body = {
            "apiVersion": f"dashboard.grafana.app/{self.apis_version or VERSIONS[0]}",
            "kind": "Dashboard",
            "metadata": {**metadata, "resourceVersion": live.revision} if live else metadata,
            "spec": {key: value for key, value in spec.items() if key not in {"id", "uid", "version"}},
        }
        path, method = (self.apis_path(uid), "PUT") if live else (self.apis_path(), "POST")
        try:
            self._client.data(path, method, json=body)
        except AnswerError as error:
            raise _told(error, "Conflict", "AlreadyExists") from None


def _told(error: AnswerError, *reasons: str) -> AnswerError:
    """The error, with what to do if somebody else was quicker."""
    if not any(reason in str(error) for reason in reasons):
        return error
    return AnswerError(f"somebody has changed it meanwhile, and nothing was overwritten: {error}", error.status)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
