"""Work that goes on in threads, for as long as a `with` block."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def background(work: Callable[[threading.Event], None], threads: int = 1) -> Iterator[None]:
    """Run `work` in so many threads meanwhile; it must return once the event that it is given is set."""
    stop = threading.Event()
    running = [threading.Thread(target=work, args=(stop,), name=work.__qualname__) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()
