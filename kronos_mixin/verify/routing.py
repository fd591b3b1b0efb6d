"""Where an Alertmanager sends an alert: its routes, receivers and time intervals.

No version of its API answers this for an alert that does not fire, so the routes are read here as Alertmanager and
`amtool config routes test` read them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from kronos_mixin.verify import intervals, matchers
from kronos_mixin.verify.matchers import Labels, Matcher

_ANOTHER = {"alertname": "Another"}


class RoutingError(Exception):
    """The configuration is not one of an Alertmanager, or has something that this program can't read."""


class _Texts(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads scalars as they are written, as Alertmanager does: `severity: 1` and `severity: "1"` are the same."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":merge", ":null"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass(frozen=True)
class Stop:
    """A route at which an alert comes to rest.

    `path` are the matchers of the routes that lead there, from below the root. `muted` and `active` are the names of
    the time intervals in which, or outside which, the route says nothing.
    """

    receiver: str
    path: tuple[tuple[Matcher, ...], ...]
    muted: tuple[str, ...] = ()
    active: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether no route below the root took the alert."""
        return not self.path


@dataclass(frozen=True)
class _Route:
    receiver: str
    matchers: tuple[Matcher, ...]
    goes_on: bool
    muted: tuple[str, ...]
    active: tuple[str, ...]
    below: tuple[_Route, ...]

    def stops(self, labels: Labels, path: tuple[tuple[Matcher, ...], ...]) -> Iterator[Stop]:
        found = False
        for route in self.below:
            if matchers.all_match(route.matchers, labels):
                found = True
                yield from route.stops(labels, (*path, route.matchers))
                if not route.goes_on:
                    break
        if not found:
            yield Stop(self.receiver, path, self.muted, self.active)

    def idle(
        self, several: Sequence[Labels], path: tuple[tuple[Matcher, ...], ...], *, meant: bool
    ) -> Iterator[Idle]:
        """The idle routes below this one, which alerts come to; `meant` is whether it is for them alone."""
        left, takers = list(several), list[_Route]()
        for route in self.below:
            own = [labels for labels in several if matchers.all_match(route.matchers, labels)]
            taken = [labels for labels in own if labels in left]
            others = any(matchers.all_match(route.matchers, {**labels, **_ANOTHER}) for labels in own)
            below = (*path, route.matchers)
            if own and not taken and (meant or not others):
                yield Idle(below, next(one.matchers for one in takers if matchers.all_match(one.matchers, own[0])))
            elif not own and meant:
                yield Idle(below, None)
            if taken:
                yield from route.idle(taken, below, meant=meant or not others)
            if not route.goes_on:
                left = [labels for labels in left if labels not in taken]
                takers.append(route)


@dataclass(frozen=True)
class Idle:
    """A route that is meant for some alerts, and gets none of them; `taker` is one before it that does."""

    path: tuple[tuple[Matcher, ...], ...]
    taker: tuple[Matcher, ...] | None


class Routing:
    """The routes of a configuration, given as data or as YAML (such as `config.original` of `/api/v2/status`).

    Raises RoutingError.
    """

    def __init__(self, config: Mapping[str, Any] | str) -> None:
        try:
            self.config = texts(config)
            root = self.config["route"]
            self._root = _route({**root, "match": {}, "match_re": {}, "matchers": []}, str(root["receiver"]))
            self._empty = {
                receiver["name"]: not any(key.endswith("_configs") and value for key, value in receiver.items())
                for receiver in self.config.get("receivers") or ()
            }
            self._intervals = {
                interval["name"]: interval.get("time_intervals") or ()
                for key in ("time_intervals", "mute_time_intervals")
                for interval in self.config.get(key) or ()
            }
        except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise RoutingError(f"this is no configuration of an Alertmanager: {reason}") from error

    @property
    def default(self) -> str:
        """The receiver of all that no other route takes."""
        return self._root.receiver

    def stops(self, labels: Labels) -> list[Stop]:
        """Where an alert with these labels comes to rest; at least at the root. Raises RoutingError."""
        try:
            return list(self._root.stops(labels, ()))
        except ValueError as error:
            raise RoutingError(str(error)) from error

    def receivers(self, labels: Labels) -> list[str]:
        """The names of the receivers of an alert with these labels, each once, in the order of the routes."""
        return list(dict.fromkeys(stop.receiver for stop in self.stops(labels)))

    def idle(self, several: Sequence[Labels]) -> list[Idle]:
        """The routes for these alerts alone, by name, that none of them comes to. Raises RoutingError."""
        try:
            return list(self._root.idle(several, (), meant=False))
        except ValueError as error:
            raise RoutingError(str(error)) from error

    def is_empty(self, receiver: str) -> bool:
        """Whether a receiver has no integration, and so tells nobody."""
        return self._empty.get(receiver, True)

    def silent(self, stop: Stop, at: datetime) -> str | None:
        """The time interval by which a route says nothing at a time; None if it speaks. Raises RoutingError."""
        try:
            for name in stop.muted:
                if intervals.within(self._intervals.get(name, ()), at):
                    return name
            outside = [name for name in stop.active if not intervals.within(self._intervals.get(name, ()), at)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RoutingError(f"this program can't read a time interval: {error}") from error
        return outside[0] if stop.active and len(outside) == len(stop.active) else None


def texts(config: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """A configuration, given as data or as YAML, with each of its scalars as text."""
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config))
    data: Mapping[str, Any] = yaml.load(text, _Texts)  # noqa: S506 - It is a SafeLoader.
    return data


def _route(given: Mapping[str, Any], inherited: str) -> _Route:
    receiver = given.get("receiver") or inherited
    below: Sequence[Mapping[str, Any]] = given.get("routes") or ()
    return _Route(
        receiver=receiver,
        matchers=matchers.of(given),
        goes_on=str(given.get("continue", "")).lower() in {"true", "yes", "on", "y"},
        muted=tuple(given.get("mute_time_intervals") or ()),
        active=tuple(given.get("active_time_intervals") or ()),
        below=tuple(_route(one, receiver) for one in below),
    )
