"""A queue that is fair to its callers: round robin over callers, then over the jobs of a caller."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

J = TypeVar("J", bound=Hashable)
"""A job."""

W = TypeVar("W")
"""One piece of its work."""


class FairQueue(Generic[J, W]):
    """Jobs of several callers, each with pieces of work that are taken in the order they were added.

    Between two of its pieces, a caller waits for one piece of each other caller, not for all their work. Every
    operation takes constant time per piece. Not thread-safe.
    """

    def __init__(self) -> None:
        self._callers: OrderedDict[str, OrderedDict[J, deque[W]]] = OrderedDict()
        self._caller_of: dict[J, str] = {}
        self._waiting: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        """Pieces waiting."""
        return self._length

    @property
    def jobs(self) -> tuple[J, ...]:
        """The jobs with pieces waiting."""
        return tuple(self._caller_of)

    def waiting(self, caller: str) -> int:
        """Pieces of ``caller`` waiting."""
        return self._waiting.get(caller, 0)

    def add(self, caller: str, job: J, work: Iterable[W]) -> None:
        """Add a job with its work, which must not be empty. A new caller goes to the back."""
        pieces = deque(work)
        self._callers.setdefault(caller, OrderedDict())[job] = pieces
        self._caller_of[job] = caller
        self._count(caller, len(pieces))

    def take(self) -> tuple[J, W]:
        """Remove and return the next piece, and its job; raises KeyError if the queue is empty."""
        caller, jobs = self._callers.popitem(last=False)
        job, pieces = jobs.popitem(last=False)
        work = pieces.popleft()
        # Job and caller go to the back of the queue.
        if pieces:
            jobs[job] = pieces
        else:
            del self._caller_of[job]
        if jobs:
            self._callers[caller] = jobs
        self._count(caller, -1)
        return job, work

    def drop(self, job: J) -> None:
        """Remove what is left of ``job``, if anything."""
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
        self._waiting[caller] = self._waiting.get(caller, 0) + change
        if not self._waiting[caller]:
            del self._waiting[caller]
