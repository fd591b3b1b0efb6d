"""The dashboards as they compiled last, and what is wrong with the mixin now."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any


@dataclass(frozen=True)
class State:
    """`revision` counts the states; `error` is why the mixin does not compile, empty if it does.

    `dashboards` are the last that did. Each has a uid.
    """

    revision: int = 0
    error: str = ""
    dashboards: tuple[Mapping[str, Any], ...] = ()


class Live:
    """Holds the newest state, for threads that wait for a newer one."""

    def __init__(self) -> None:
        self._state = State()
        self._changed = threading.Condition()

    @property
    def state(self) -> State:
        """The newest state."""
        return self._state

    def show(self, dashboards: Mapping[str, Mapping[str, Any]]) -> None:
        """The mixin compiled to these dashboards, by file name."""
        self._become("", tuple({**one, "uid": _uid(name, one)} for name, one in sorted(dashboards.items())))

    def fail(self, error: str) -> None:
        """The mixin does not compile: the dashboards stay."""
        self._become(error, self._state.dashboards)

    def newer(self, revision: int, seconds: float) -> State | None:
        """A state other than the one with `revision`; None if there is none within so many seconds."""
        with self._changed:
            return self._state if self._changed.wait_for(lambda: self._state.revision != revision, seconds) else None

    def _become(self, error: str, dashboards: tuple[Mapping[str, Any], ...]) -> None:
        with self._changed:
            self._state = State(self._state.revision + 1, error, dashboards)
            self._changed.notify_all()


def _uid(name: str, dashboard: Mapping[str, Any]) -> str:
    return str(dashboard.get("uid") or PurePosixPath(name).stem)
