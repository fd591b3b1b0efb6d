"""The service behind Ray Serve: the same application and metrics, on as many replicas and nodes as the cluster has.

``kronos_service.ray_serve:app`` is the import path of the application. Its settings are the service's own, as
environment variables of the ``runtime_env``; its ``args`` are :class:`Options`.

Ray's proxy takes any replica for a request, so each replica serves its metrics on an address of its own. A registry
on the head node tells Prometheus these addresses, from before a replica loads its model until the first scrape after
its last request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import ray
import uvicorn
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.api.errors import Problem
from kronos_service.api.paths import METRICS_PATH
from kronos_service.environment import drop_foreign
from kronos_service.http.listen import AddressError, Listener
from kronos_service.settings import PREFIX, Effective, Settings, SettingsError, read_settings
from kronos_service.telemetry import logs

TARGETS_PATH = "/targets"

ANNOUNCE_SECONDS = 5.0
"""How often a replica tells the registry that it is there."""

FORGET_SECONDS = 30.0
"""The registry forgets a replica that it has not heard of for this long."""

_OF_THE_SERVER = ("host", "port", "keep_alive_seconds", "drain_seconds", "shutdown_seconds")
"""Settings that have no effect here: Ray's proxy has the connections, and Ray waits for what is admitted."""

_READY_SECONDS = 0.1
_HEAD = {"node:__internal_head__": 0.001}
_SPARE_SECONDS = 10.0

_log = logs.get_logger("kronos.ray")


class Options(BaseModel):
    """The ``args`` of the application in Ray's configuration.

    ``targets_host`` and ``targets_port`` are where the registry listens on the head node; by default that is the
    address by which Ray knows the node. ``last_scrape_seconds`` is the longest wait of a replica that has drained for
    the scrape of its last numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets_host: str | None = None
    targets_port: int = Field(9465, ge=1, le=65535)
    last_scrape_seconds: float = Field(40, ge=0, le=3600)


def app(args: Mapping[str, Any]) -> Any:
    """Build the application. Raises ValidationError and SettingsError, which Ray shows as the reason of the failure.

    The options of its only deployment, ``kronos``, are defaults: Ray's configuration can change each of them.
    """
    options = Options.model_validate(args)
    settings = read_settings().settings
    deployment = serve.deployment(
        name="kronos",
        max_ongoing_requests=2 * _most_at_once(settings),
        # A new replica is there before an old one goes, so that one replica is enough for an update without loss.
        max_surge_percent=100,
        # Long enough for whatever has been admitted; then Ray kills.
        graceful_shutdown_timeout_s=settings.time_limit_seconds + options.last_scrape_seconds + _SPARE_SECONDS,
        # Each request has a line of ours already.
        logging_config={"enable_access_log": False},
    )
    return deployment(serve.ingress()(Replica)).bind(options)


class Replica:
    """One instance of the service. Ray sends it requests once ``check_health`` has returned for the first time."""

    async def __init__(self, options: Options) -> None:  # type: ignore[misc] # Ray awaits it
        ignored = drop_foreign()
        effective = read_settings()
        context = serve.get_replica_context()
        check_room(context._deployment_config.max_ongoing_requests, effective.settings)
        listener = Listener.bind(
            "KRONOS_METRICS",
            effective.settings.metrics_host or ray.util.get_node_ip_address(),
            effective.settings.metrics_port or 0,
        )
        listener.listen()
        host, port = listener.socket.getsockname()[:2]
        cpus = int(ray.get_runtime_context().get_assigned_resources().get("CPU", 0))
        settings = effective.settings.model_copy(
            update={
                # The application then serves no metrics itself.
                "metrics_port": port,
                "torch_threads": effective.settings.torch_threads or max(1, cpus),
            }
        )
        logs.configure(settings.log_level, settings.log_format)
        _log.info("starting", metrics_host=host, metrics_port=port, settings=effective.as_dict())
        for warning in (*effective.warnings, *ignored, *_without_effect(effective)):
            _log.warning("settings", warning=warning)

        # Only now, because it brings PyTorch.
        from kronos_service.app import create_app
        from kronos_service.http.server import scrape_server

        self._app = create_app(settings)
        self._scrapes = self._app.state.scrape = _Scrapes(self._app.state.scrape)
        self._server = scrape_server(self._app, settings)
        self._serving = asyncio.create_task(self._server.serve([listener.socket]))
        address = reachable(host, port, node=ray.util.get_node_ip_address())
        self._announcing = _Announcing(options, context.app_name, context.replica_tag, address)
        await self._announcing.start()
        self._options = options
        self._was_ready = False

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application, for Ray, which runs its lifespan."""
        return _WithoutRequestId(self._app)

    async def check_health(self) -> None:
        """Wait for the model at first. From then on raise whenever it does not work: Ray replaces the replica."""
        while True:
            try:
                self._app.state.lifecycle.check_ready()
            except Problem as problem:
                if self._was_ready:
                    raise RuntimeError(problem.detail) from None
                await asyncio.sleep(_READY_SECONDS)
            else:
                self._was_ready = True
                return

    async def __del__(self) -> None:
        # Ray has answered everything and run the end of the lifespan: the numbers are final.
        if hasattr(self, "_announcing"):
            if not await self._scrapes.once_more(self._options.last_scrape_seconds):
                _log.warning("not scraped after the end", seconds=self._options.last_scrape_seconds)
            await self._announcing.stop()
            self._server.should_exit = True
            await self._serving
        logs.flush(1)


def check_room(max_ongoing_requests: int, settings: Settings) -> None:
    """Raise SettingsError if requests would wait in Ray's proxy while there is room in our queue."""
    needed = _most_at_once(settings)
    if max_ongoing_requests <= needed:
        raise SettingsError(
            f"max_ongoing_requests is {max_ongoing_requests}, but KRONOS_QUEUE_CAPACITY={settings.queue_capacity} "
            f"requests may wait and KRONOS_BATCH_ROWS={settings.batch_rows} be in the model: the others would wait "
            f"in Ray's proxy, unseen by metrics and time limits. Set it to more than {needed}, or leave it out"
        )


def reachable(host: str, port: int, *, node: str) -> str:
    """Where others find what listens on an address: all interfaces have none, but the node has one."""
    if ip_address(host).is_unspecified:
        host = node
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_effect(effective: Effective) -> list[str]:
    names = [name for name in _OF_THE_SERVER if effective.sources[name] != "default"]
    return [f"{PREFIX}{name.upper()} has no effect behind Ray Serve, whose own options say that" for name in names]


def _most_at_once(settings: Settings) -> int:
    """The most requests that a replica works on: those waiting, and one in each row of the model."""
    return settings.queue_capacity + settings.batch_rows


class _WithoutRequestId:
    """Leaves X-Request-ID to Ray's proxy: the id that it has given to the request is ours, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [header for header in message["headers"] if header[0] != b"x-request-id"]
            await send(message)

        await self._app(scope, receive, sent)


class _Scrapes:
    """Knows when the metrics were scraped."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._next = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One that has begun by now may have been rendered too early for whoever asks later.
        scraped = self._next
        code = 0

        async def sent(message: Message) -> None:
            nonlocal code
            code = message.get("status", code)
            await send(message)

        await self._app(scope, receive, sent)
        if code == 200 and scope["path"] == METRICS_PATH:
            scraped.set()

    async def once_more(self, seconds: float) -> bool:
        """Wait for a scrape that begins now or later, but no longer than ``seconds``; returns whether it came."""
        self._next = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._next.wait(), seconds)
        return self._next.is_set()


class _Announcing:
    """Tells the registry of a replica, again and again: the registry may have been killed meanwhile."""

    def __init__(self, options: Options, application: str, replica: str, address: str) -> None:
        self._options = options
        self._application = application
        self._replica = replica
        self._address = address
        self._registry: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises AddressError if the registry cannot have its address."""
        try:
            await self._announce()
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        self._task = asyncio.create_task(self._announce_forever())

    async def stop(self) -> None:
        """The replica is gone."""
        if self._task is not None:
            self._task.cancel()
        with contextlib.suppress(ray.exceptions.RayError):
            await self._registry.withdraw.remote(self._replica)

    async def _announce_forever(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(ANNOUNCE_SECONDS)
            try:
                # A call to a node that is cut off may stay without an answer.
                await asyncio.wait_for(self._announce(), FORGET_SECONDS)
            except (ray.exceptions.RayError, TimeoutError) as error:
                if not failing:
                    _log.error("not announced to the registry of targets", reason=repr(error))
                failing = True
            else:
                failing = False

    async def _announce(self) -> None:
        if self._registry is None:
            # In a thread, because it waits for the head node.
            self._registry = await asyncio.to_thread(self._find)
        try:
            await self._registry.announce.remote(self._replica, self._address)
        except ray.exceptions.ActorDiedError:
            self._registry = None
            raise

    def _find(self) -> Any:
        """The registry, which the first replica starts. Ray starts it again if it dies, on the head as before."""
        host, port = self._options.targets_host, self._options.targets_port
        return (
            ray.remote(Registry)
            .options(
                name=f"targets of {self._application} at {host or 'the head'}:{port}",
                namespace="kronos",
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                num_cpus=0,
                resources=_HEAD,
            )
            .remote(host, port)
        )


class Registry:
    """The addresses of the replicas' metrics, served as Prometheus' HTTP service discovery wants them."""

    def __init__(self, host: str | None, port: int) -> None:
        self._host = host or ray.util.get_node_ip_address()
        self._port = port
        self._known: dict[str, tuple[str, float]] = {}
        self._started = time.monotonic()
        self._serving: asyncio.Task[None] | None = None

    async def announce(self, replica: str, address: str) -> None:
        """A replica serves its metrics at ``address``, host and port. Raises AddressError."""
        if self._serving is None:
            self._serving = asyncio.create_task(self._server().serve([self._bind()]))
        self.heard(replica, address)

    def heard(self, replica: str, address: str) -> None:
        """Keep a replica in the list for as long as it is heard of."""
        self._known[replica] = address, time.monotonic()

    async def withdraw(self, replica: str) -> None:
        """A replica is gone, and its last numbers were scraped."""
        self._known.pop(replica, None)

    async def targets(self, _request: Request) -> Response:
        """All replicas that were heard of lately."""
        now = time.monotonic()
        if now - self._started < 2 * ANNOUNCE_SECONDS:
            # Prometheus then keeps what it knows.
            return PlainTextResponse("just started: not all replicas are known yet", 503)
        self._known = {name: one for name, one in self._known.items() if now - one[1] < FORGET_SECONDS}
        return JSONResponse(
            [
                {"targets": [address], "labels": {"__meta_ray_replica": replica}}
                for replica, (address, _) in sorted(self._known.items())
            ]
        )

    def _server(self) -> uvicorn.Server:
        routes = [Route(TARGETS_PATH, self.targets)]
        return uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, access_log=False)
        )

    def _bind(self) -> socket.socket:
        try:
            return socket.create_server((self._host, self._port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise AddressError(
                f"the registry of targets cannot listen on {self._host}:{self._port}: {reason}; give "
                "targets_host and targets_port in the args of the application"
            ) from None
