"""The service under clients that each send one request after another: series per CPU second, latency, memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil

from benchmarks.load import exchange, request
from kronos_service.api.paths import SINGLE_PATH
from proof.servers.service import Service

from .cases import Case
from .checkpoints import CONTEXT, Reference

_KEYS = {name: f"{name}-0123456789abcdef" for name in ("short", "long")}
_FEWEST = 12
_GLANCE_SECONDS = 0.05
_MIB = 2**20


@dataclass(frozen=True)
class Load:
    """What clients got.

    Attributes:
        per_cpu_second: series forecast per second of the service's CPU time.
        p50, p95: latency in seconds.
        memory: most MiB that the service held, beyond what it held before the first request.
    """

    per_cpu_second: float
    p50: float
    p95: float
    memory: float


@dataclass(frozen=True)
class Beside:
    """p95 of a short request in seconds, alone and beside long ones."""

    alone: float
    beside: float


def measure(service: Service, case: Case, clients: int) -> Load:
    """Let ``clients`` clients send at least two requests each."""
    process = psutil.Process(service.process.pid)
    asyncio.run(_send(service, case, 1, 2, "short"))
    memory, before = process.memory_info().rss, process.cpu_times()
    count = max(2 * clients, _FEWEST)
    latencies, most = asyncio.run(_watched(process, _send(service, case, clients, count, "short")))
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    p50, p95 = np.quantile(latencies, [0.5, 0.95])
    return Load(count / used, float(p50), float(p95), (most - memory) / _MIB)


def beside(service: Service, short: Case, long: Case, clients: int) -> Beside:
    """Latency of ``short`` alone, and while ``clients`` others ask for ``long`` all the time."""
    return asyncio.run(_beside(service, short, long, clients))


async def _watched(process: psutil.Process, work: Coroutine[None, None, list[float]]) -> tuple[list[float], int]:
    """The result of ``work``, and the most bytes that the process held meanwhile."""
    task, most = asyncio.create_task(work), 0
    while not task.done():
        most = max(most, int(process.memory_info().rss))
        await asyncio.wait([task], timeout=_GLANCE_SECONDS)
    return await task, most


async def _beside(service: Service, short: Case, long: Case, clients: int) -> Beside:
    alone = await _send(service, short, 1, 2 * _FEWEST, "short")
    others = [asyncio.create_task(_send(service, long, 1, None, "long")) for _ in range(clients)]
    # The first answers come once the long ones are on their way.
    await _send(service, short, 1, 2, "short")
    together = await _send(service, short, 1, 2 * _FEWEST, "short")
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return Beside(float(np.quantile(alone, 0.95)), float(np.quantile(together, 0.95)))


async def _send(service: Service, case: Case, clients: int, count: int | None, caller: str) -> list[float]:
    """Seconds of ``count`` requests (None: until cancelled), one at a time per client."""
    latencies: list[float] = []
    numbers = iter(range(count)) if count is not None else iter(int, 1)
    body = json.dumps(case.body()).encode()
    sent = request(
        "POST", SINGLE_PATH, body, port=service.port, headers=[("Authorization", f"Bearer {_KEYS[caller]}")]
    )

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        try:
            for _ in numbers:
                start = time.perf_counter()
                code, _ = await exchange(reader, writer, sent)
                latencies.append(time.perf_counter() - start)
                if code != 200:
                    raise RuntimeError(f"{case}: the service answered {code}")
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return latencies


@contextmanager
def serving(reference: Reference, **settings: object) -> Iterator[Service]:
    """The service with one of the reference's checkpoints, and no limit that would be in the way."""
    given: Mapping[str, object] = {
        "model": reference.model_folder,
        "tokenizer": reference.tokenizer_folder,
        "max_context": CONTEXT,
        "torch_threads": 1,
        "time_limit_seconds": 300,
        "api_keys": ",".join(f"{name}:{key}" for name, key in _KEYS.items()),
        "log_level": "warning",
    }
    with Service(dict(given) | settings) as service:
        yield service
