"""The queue of the model: whoever was charged least is next."""

from collections import OrderedDict, deque
from collections.abc import Callable, Container, Hashable, Iterable
from typing import Generic, TypeVar

J = TypeVar("J", bound=Hashable)
"""A job."""

W = TypeVar("W")
"""One piece of its work."""


class Turns(Generic[J, W]):
    """Jobs of several callers, each with pieces of work that are taken in the order they were added.

    Every piece is charged to its caller at its cost, and the caller with the lowest charge is next, so over time all
    get an equal share of the model, whatever the size of their pieces (start-time fair queueing). Nobody saves up
    credit while idle. Jobs of one caller take turns. Not thread-safe.
    """

    def __init__(self, cost: Callable[[W], float]) -> None:
        self._cost = cost
        self._callers: dict[str, OrderedDict[J, deque[W]]] = {}
        self._caller_of: dict[J, str] = {}
        self._waiting: dict[str, int] = {}
        self._length = 0
        self._charged: dict[str, float] = {}
        self._now = 0.0
        """The charge of the caller that was served last, before it was served."""
        self._total = 0.0

    def __len__(self) -> int:
        """Pieces waiting."""
        return self._length

    @property
    def jobs(self) -> tuple[J, ...]:
        """The jobs with pieces waiting."""
        return tuple(self._caller_of)

    @property
    def cost(self) -> float:
        """Of all pieces waiting."""
        return self._total if self._length else 0.0

    def waiting(self, caller: str) -> int:
        """Pieces of ``caller`` waiting."""
        return self._waiting.get(caller, 0)

    def add(self, caller: str, job: J, work: Iterable[W]) -> None:
        """Add a job with its work, which must not be empty."""
        pieces = deque(work)
        if caller not in self._callers:
            self._charged[caller] = max(self._charged.get(caller, 0.0), self._now)
        self._callers.setdefault(caller, OrderedDict())[job] = pieces
        self._caller_of[job] = caller
        self._count(caller, len(pieces), sum(map(self._cost, pieces)))

    def next(self, without: Container[str] = ()) -> tuple[str, W] | None:
        """The caller whose turn it is, and its next piece; None if nothing waits. Passes over some callers."""
        callers = [caller for caller in self._callers if caller not in without]
        if not callers:
            return None
        caller = min(callers, key=self._charged.__getitem__)
        return caller, next(iter(self._callers[caller].values()))[0]

    def take(self, caller: str) -> tuple[J, W]:
        """Remove and charge the next piece of ``caller``; returns it with its job."""
        jobs = self._callers[caller]
        job, pieces = jobs.popitem(last=False)
        work = pieces.popleft()
        # The job goes to the back of its caller's.
        if pieces:
            jobs[job] = pieces
        else:
            del self._caller_of[job]
        if not jobs:
            del self._callers[caller]
        cost = self._cost(work)
        self._count(caller, -1, -cost)
        self._now = self._charged[caller]
        self._charged[caller] += cost
        # Whoever is neither waiting nor ahead would start from now in any case. If nobody waits, nobody is ahead.
        self._charged = {
            name: charge
            for name, charge in self._charged.items()
            if self._length and (charge > self._now or name in self._callers)
        }
        return job, work

    def drop(self, job: J) -> int:
        """Remove what is left of ``job``, if anything; returns how many pieces that were."""
        caller = self._caller_of.pop(job, None)
        if caller is None:
            return 0
        jobs = self._callers[caller]
        pieces = jobs.pop(job)
        if not jobs:
            del self._callers[caller]
        self._count(caller, -len(pieces), -sum(map(self._cost, pieces)))
        return len(pieces)

    def _count(self, caller: str, change: int, cost: float) -> None:
        self._length += change
        self._total += cost
        self._waiting[caller] = self._waiting.get(caller, 0) + change
        if not self._waiting[caller]:
            del self._waiting[caller]
