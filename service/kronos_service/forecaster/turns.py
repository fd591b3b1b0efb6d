"""The order in which waiting work is taken: in turns."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

J = TypeVar("J", bound=Hashable)
"""A job."""

W = TypeVar("W")
"""One piece of its work."""


class Turns(Generic[J, W]):
    """Waiting work, taken caller by caller, of a caller job by job, of a job in the order it was added.

    So whoever asks for little waits for one piece of everybody else's work, and not for all of it. Every
    operation takes constant time. Not thread-safe.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._callers: OrderedDict[str, OrderedDict[J, deque[W]]] = OrderedDict()
        self._caller_of: dict[J, str] = {}
        self._held: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        """Pieces of work that wait."""
        return self._length

    @property
    def jobs(self) -> tuple[J, ...]:
        """The jobs that have work waiting."""
        return tuple(self._caller_of)

    def held(self, caller: str) -> int:
        """Pieces of work that wait for ``caller``."""
        return self._held.get(caller, 0)

    def add(self, caller: str, job: J, work: Iterable[W]) -> None:
        """Append a job with all its work, of which there must be some. A new caller's turn comes last."""
        pieces = deque(work)
        self._callers.setdefault(caller, OrderedDict())[job] = pieces
        self._caller_of[job] = caller
        self._count(caller, len(pieces))

    def take(self) -> tuple[J, W]:
        """Remove and return what comes next; raises KeyError if nothing waits."""
        caller, jobs = self._callers.popitem(last=False)
        job, pieces = jobs.popitem(last=False)
        work = pieces.popleft()
        # Whoever had a turn goes to the end of the line.
        if pieces:
            jobs[job] = pieces
        else:
            del self._caller_of[job]
        if jobs:
            self._callers[caller] = jobs
        self._count(caller, -1)
        return job, work

    def drop(self, job: J) -> None:
        """Remove all work of ``job`` that waits; nothing happens if there is none."""
        caller = self._caller_of.pop(job, None)
        if caller is None:
            return
        jobs = self._callers[caller]
        pieces = jobs.pop(job)
        if not jobs:
            del self._callers[caller]
        self._count(caller, -len(pieces))

    def _count(self, caller: str, change: int) -> None:
        self._length += change
        self._held[caller] = self._held.get(caller, 0) + change
        if not self._held[caller]:
            del self._held[caller]
