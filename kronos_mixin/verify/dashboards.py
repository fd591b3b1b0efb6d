"""Checks of the dashboards that Grafana keeps: there, once, and as compiled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from kronos_mixin.connect import AnswerError
from kronos_mixin.grafana import Dashboard, Hit
from kronos_mixin.verify.board import differences
from kronos_mixin.verify.check import Check, Finding, Severity, Skip, Unasked
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

OLDEST = (10, 4)
"""The oldest Grafana that the dashboards are made for."""

_IMPORT = "import the compiled file: kronos-mixin push --grafana URL, or Dashboards, New, Import"
_UNAUTHORIZED = 401
_SHOWN = 4


def _answers(stack: Stack) -> Iterator[Finding]:
    grafana = stack.grafana
    if grafana is None:
        raise Skip("no --grafana was named")
    try:
        version = grafana.version
    except AnswerError as error:
        yield Finding(str(error), "start it, or give the address of its start page: --grafana URL")
        return
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST:
        yield Finding(
            f"this is Grafana {version}, and the dashboards need {'.'.join(map(str, OLDEST))}", "update Grafana"
        )
    try:
        grafana.log_in()
    except AnswerError as error:
        if error.status != _UNAUTHORIZED:
            raise
        known = grafana.connection
        given = (
            "does not accept these credentials" if known.authorization or known.basic_auth else "wants credentials"
        )
        yield Finding(
            f"{grafana.connection.url} {given}",
            "give the token of a service account with the role Viewer: --grafana-token-file FILE",
        )


def _there(stack: Stack) -> Iterator[Finding]:
    missing = [stack.mixin.dashboards[file] for file, one in in_grafana(stack).items() if one is None]
    named = _named(stack)
    if len(missing) == len(stack.mixin.dashboards) > 1 and not named:
        yield Finding("Grafana has none of our dashboards", _IMPORT)
        return
    for board in missing:
        others = [hit for hit in named if hit.title == board["title"]]
        if others:
            yield Finding(
                f"{board['title']} has the uid {others[0].uid} instead of {board['uid']}",
                f"delete it, and {_IMPORT}: keep the uid that is in the file",
                why="Links from alerts and other dashboards lead to the uid, and updates miss it.",
            )
        else:
            yield Finding(f"{board['title']} ({board['uid']}) is missing", _IMPORT)
    yield from _links(stack)


def _links(stack: Stack) -> Iterator[Finding]:
    """Tell where links in alerts lead, if not to this Grafana: it may have several names."""
    rules = (rule for group in stack.mixin.alerts for rule in group["rules"])
    hosts = {urlsplit(rule["annotations"].get("dashboard_url", "")).netloc for rule in rules} - {""}
    here = urlsplit(stack.grafana.connection.url).netloc if stack.grafana else ""
    if hosts and here not in hosts:
        yield Finding(
            f"links in alerts lead to {listed(sorted(hosts))}, and this is {here}: see the knob dashboardURL",
            severity=Severity.note,
        )


def _once(stack: Stack) -> Iterator[Finding]:
    there = {file: one for file, one in in_grafana(stack).items() if one is not None}
    uids = {board["uid"] for board in stack.mixin.dashboards.values()}
    titles = {stack.mixin.dashboards[file]["title"] for file in there}
    for hit in _named(stack):
        if hit.title in titles and hit.uid not in uids and _reads_ours(stack, hit):
            yield Finding(
                f"{hit.title} is there twice: the other has the uid {hit.uid}, in {_folder(hit.folder)}",
                "delete the other, or take out its provider, if it is provisioned",
                why="Who opens the other sees an older state, and updates miss it.",
                severity=Severity.warning,
            )
        elif f"kronos-mixin:{stack.mixin.name}" in hit.tags and hit.uid not in uids:
            yield Finding(
                f"{hit.title} ({hit.uid}) was pushed once, and is compiled no longer",
                "kronos-mixin push takes it away",
                severity=Severity.warning,
            )
    folders = {one.folder for one in there.values()}
    wanted = stack.mixin.folder
    if len(folders) > 1:
        yield Finding(
            f"our dashboards are in several folders: {listed(sorted(map(_folder, folders)))}",
            "move them to one: who may see one of them should see all",
            severity=Severity.warning,
        )
    elif wanted and folders and folders != {wanted}:
        yield Finding(f"they are in {_folder(folders.pop())}, not in {wanted}", severity=Severity.note)


def _reads_ours(stack: Stack, hit: Hit) -> bool:
    """Whether a dashboard shows our job, not that of another environment that is called the same."""
    found = stack.grafana.dashboard(hit.uid) if stack.grafana else None
    return found is not None and json.dumps(stack.selector)[1:-1] in json.dumps(found.spec)


def _equal(stack: Stack) -> Iterator[Finding]:
    for file, kept in in_grafana(stack).items():
        if kept is None:
            continue
        board = stack.mixin.dashboards[file]
        found = differences(board, kept.spec)
        if kept.newer_schema:
            # What the conversion makes of the rest can't be told from an edit.
            found = [one for one in found if one.startswith("panel ") and (".expr" in one or " is missing" in one)]
        if found:
            more = f"; and {len(found) - _SHOWN} more differences" if len(found) > _SHOWN else ""
            yield Finding(f"{board['title']}: {'; '.join(found[:_SHOWN])}{more} ({_origin(kept)})", _mend(kept))


def _named(stack: Stack) -> list[Hit]:
    """All dashboards with a title or tag of ours."""
    if stack.grafana is None:
        raise Skip("no --grafana was named")
    titles = [board["title"] for board in stack.mixin.dashboards.values()]
    by_title = [hit for title in titles for hit in stack.grafana.search(title) if hit.title == title]
    by_tag = stack.grafana.search(tags=[f"kronos-mixin:{stack.mixin.name}"])
    return list({hit.uid: hit for hit in [*by_title, *by_tag]}.values())


def _origin(kept: Dashboard) -> str:
    """Where a dashboard came from, as far as Grafana tells."""
    if kept.provisioned:
        return f"provisioned from {kept.file or 'a file'}"
    by = f" by {kept.updated_by}" if kept.updated_by else ""
    return f"version {kept.version}, saved{by} at {kept.updated}"


def _mend(kept: Dashboard) -> str:
    if kept.provisioned:
        return (
            f"replace {kept.file or 'the file'} by what kronos-mixin compile writes, with the same --config as here"
        )
    return f"{_IMPORT}; make changes in a --config, or in Jsonnet, where no update overwrites them"


def in_grafana(stack: Stack) -> Mapping[str, Dashboard | None]:
    """Our dashboards by their files; None: Grafana has none of that uid."""
    if stack.grafana is None:
        raise Skip("no --grafana was named")
    try:
        return stack.dashboards
    except AnswerError as error:
        if not error.forbidden:
            raise
        raise Unasked(
            f"{error}: give the service account the role Viewer, or dashboards:read on the folder, and folders:read"
        ) from error


def _folder(title: str) -> str:
    return f"the folder {title}" if title else "no folder"


_check: Any = partial(Check, after=("grafana-answers",))
CHECKS = (
    Check(
        name="grafana-answers",
        looks_at="Grafana, and whether its credentials are good",
        finds="an address at which nothing or something else answers, a token that is wrong or has expired, a "
        "Grafana that is too old",
        why="Nothing in it can be asked.",
        run=_answers,
    ),
    _check(
        name="dashboards-there",
        looks_at="whether each dashboard is there by its uid",
        finds="a dashboard that was not imported, or under another uid",
        why="Links from alerts lead to dashboards by their uid.",
        run=_there,
    ),
    _check(
        name="dashboards-once",
        looks_at="whether each dashboard is there once, and all in one folder",
        finds="copies under another uid, such as of a second provider; dashboards of an older version; folders",
        why="Nobody knows which of them is right.",
        run=_once,
    ),
    _check(
        name="dashboards-equal",
        looks_at="whether the dashboards are those that your configuration compiles to",
        finds="dashboards of an older version or of another --config; panels, queries, thresholds, units or "
        "variables that were edited in Grafana",
        why="They show something other than you think.",
        run=_equal,
    ),
)
