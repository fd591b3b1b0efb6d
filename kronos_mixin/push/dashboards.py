"""What a push does with the dashboards of a Grafana.

Each dashboard of ours has a tag with the mixin's name, by which it is found again in every version of Grafana, and
each save of ours a message with a digest of what was saved. So if the last save has another message, somebody has
edited the dashboard in Grafana. Its content does not tell: Grafana brings it to the newest schema by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from kronos_mixin.changes import Verb
from kronos_mixin.grafana import Dashboard
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.push.editor import Editor
from kronos_mixin.push.step import Mark, PushError, Step
from kronos_mixin.yamltext import to_json

_UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SERVER_SIDE = ("id", "version")
_LONGEST_TAG = 50


def tag(name: str) -> str:
    """The tag on all dashboards of the mixin `name`."""
    return f"kronos-mixin:{name}"


def steps(grafana: Editor, mixin: Mixin, folder: str | None = None, *, force: bool = False) -> list[Step]:
    """What brings the mixin's dashboards to Grafana, and takes away those of its own that it no longer has.

    They go to the folder with the title `folder`; None: the mixin's, and where it names none, wherever they are.
    `force` overwrites and removes what somebody has edited. Raises AnswerError, and PushError.
    """
    return list(_Planner(grafana, mixin, folder, force).steps())


class _Planner:
    def __init__(self, grafana: Editor, mixin: Mixin, folder: str | None, force: bool) -> None:
        self._grafana = grafana
        self._mixin = mixin
        self._folder = mixin.folder if folder is None else folder
        self._force = force
        self._tag = tag(mixin.name)

    def steps(self) -> Iterator[Step]:
        wanted = _wanted(self._mixin, self._tag)
        if wanted and self._folder and self._folder not in self._grafana.folders().values():
            yield Step(Verb.add, f"folder {self._folder}", f"folder {self._folder}", make=self._make_folder)
        for spec in wanted.values():
            yield self._bring(spec, self._grafana.dashboard(spec["uid"]))
        for hit in self._grafana.search(tags=[self._tag]):
            if hit.uid not in wanted and (live := self._grafana.dashboard(hit.uid)) is not None:
                yield self._take(live)

    @cached_property
    def _folder_uid(self) -> str:
        """The folder's uid. Makes it if there is none."""
        known = {title: uid for uid, title in self._grafana.folders().items()}
        return known.get(self._folder) or self._grafana.make_folder(self._folder)

    def _make_folder(self) -> None:
        _ = self._folder_uid

    def _bring(self, spec: dict[str, Any], live: Dashboard | None) -> Step:
        key, what = spec["uid"], f"dashboard {spec['title']} ({spec['uid']})"
        mark = Mark.of(self._mixin.name, spec)

        def make() -> None:
            uid = self._folder_uid if self._folder else live.folder_uid if live else ""
            self._grafana.save(spec, live, uid, str(mark))

        if live is None:
            return Step(Verb.add, key, what, after=to_json(spec), make=make)
        before = to_json(_own(live.spec))
        if why := self._hands_off(live):
            return Step(Verb.keep, key, what, why, before, to_json(spec))
        moved = f"from the folder {live.folder or 'at the top'} to {self._folder}"
        moves = bool(self._folder) and live.folder != self._folder
        if self._mark(live) == mark:
            return Step(Verb.change, key, what, moved, make=make) if moves else Step(Verb.same, key, what)
        return Step(Verb.change, key, what, moved if moves else "", before, to_json(spec), make)

    def _take(self, live: Dashboard) -> Step:
        what, before = f"dashboard {live.spec['title']} ({live.uid})", to_json(_own(live.spec))
        if why := self._hands_off(live):
            return Step(Verb.keep, live.uid, what, f"the mixin no longer has it, but it {why}", before)
        return Step(
            Verb.remove,
            live.uid,
            what,
            "the mixin no longer has it",
            before,
            make=lambda: self._grafana.delete(live),
        )

    def _hands_off(self, live: Dashboard) -> str:
        """Why a dashboard must be left alone; empty if it need not."""
        if live.provisioned:
            return f"is provisioned from {live.file or 'a file or by another tool'}: change it there"
        if self._force:
            return ""
        if self._tag not in (live.spec.get("tags") or ()):
            return f"lacks the tag {self._tag}, so it is somebody else's: --force takes it over"
        mark = self._mark(live)
        if mark is None or mark.mixin != self._mixin.name:
            by = f" by {live.updated_by}" if live.updated_by else ""
            return f"was edited in Grafana{by}, on {live.updated}: --force overwrites that"
        return ""

    def _mark(self, live: Dashboard) -> Mark | None:
        return Mark.read(self._grafana.message(live))


def _wanted(mixin: Mixin, tagged: str) -> dict[str, dict[str, Any]]:
    """The mixin's dashboards as they are saved, by uid. One without a uid gets one that stays the same."""
    if len(tagged) > _LONGEST_TAG:
        raise PushError(
            f"the tag {tagged} is longer than the {_LONGEST_TAG} letters that Grafana takes: give a --name"
        )
    found: dict[str, dict[str, Any]] = {}
    for file, dashboard in sorted(mixin.dashboards.items()):
        uid = str(dashboard.get("uid") or _uid(mixin.name, file))
        if not _UID.fullmatch(uid):
            raise PushError(f"{file}: its uid {uid!r} is not of up to 40 letters, digits, - and _")
        if uid in found:
            raise PushError(f"{file}: another dashboard of the mixin has the uid {uid}, too")
        title = str(dashboard.get("title") or "")
        if not title:
            raise PushError(f"{file}: has no title, without which Grafana refuses it")
        tags = [*(one for one in dashboard.get("tags") or () if one != tagged), tagged]
        found[uid] = {**_own(dashboard), "uid": uid, "title": title, "tags": tags}
    return found


def _own(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dashboard.items() if key not in _SERVER_SIDE}


def _uid(name: str, file: str) -> str:
    text = re.sub(r"[^A-Za-z0-9_-]", "-", f"{name}-{PurePosixPath(file).stem}")
    return text if len(text) <= 40 else hashlib.sha256(text.encode()).hexdigest()[:40]
