"""The running stack that checks look at, and what it should hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import Contract
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.api import Api


@dataclass(frozen=True)
class Stack:
    """The servers, the mixin as the user's configuration compiles, and its contract. Answers are kept: ask freely."""

    connections: Connections
    mixin: Mixin
    contract: Contract

    @cached_property
    def prometheus(self) -> Api:
        """Who is asked for series and targets."""
        return Api(self._prometheus)

    @cached_property
    def rulers(self) -> tuple[Api, ...]:
        """Who evaluates the rules: those that were named, or else Prometheus itself."""
        return tuple(Api(one) for one in self.connections.rulers) or (self.prometheus,)

    @property
    def job(self) -> str:
        """The job that the rules select by."""
        name: str = self.mixin.config["job"]
        return name

    @property
    def _prometheus(self) -> Connection:
        if self.connections.prometheus is None:
            raise ValueError("there must be a Prometheus")
        return self.connections.prometheus
