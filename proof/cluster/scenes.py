"""What is done to the service in the cluster, what must come of it, and what did."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from proof.cluster import watch
from proof.cluster.engine import ClusterError
from proof.cluster.stage import DEPLOYMENT, OURS, PATIENCE, Stage, Wrong, container


def rolling_update(stage: Stage) -> str:
    """A rolling update under load: nothing is lost, and Prometheus counts exactly what the clients saw."""
    old, before, active = set(stage.pods()), stage.counted(), stage.alerts("pending", "firing")
    with stage.load() as clients:
        stage.kubectl("rollout", "restart", DEPLOYMENT)
        stage.settle()
    if kept := old & set(stage.pods()):
        raise Wrong(f"pods that were not replaced: {', '.join(kept)}")
    stage.nothing_lost(clients)
    stage.counts_exactly(before, clients)
    # On a slow machine the first start may have looked like an outage, which is told for some minutes.
    if firing := stage.alerts("firing") - active:
        raise Wrong(f"alerts fire for a rolling update: {', '.join(sorted(firing))}")
    return f"{clients.answered} forecasts, 0 requests lost, {clients.answered} counted, and no alert fires"


def killed(stage: Stage) -> str:
    """A process killed by force: what it had, or was sent before kube-proxy heard, is lost; the rest goes on."""
    before = stage.counted()
    with stage.load() as clients:
        name = stage.ready()[0]
        os.kill(_process(stage, name), signal.SIGKILL)
        stage.cluster.until("a restart", lambda: container(stage.pods()[name])["restartCount"] == 1)
        stage.cluster.until("it to be ready", lambda: container(stage.pods()[name])["ready"], PATIENCE)
        stage.cluster.until("both pods", lambda: len(stage.ready()) == 2, PATIENCE)
        lost, answered = clients.lost, clients.answered
        stage.cluster.until("answers as before", lambda: clients.answered > answered + 50)
        if clients.lost != lost:
            raise Wrong(f"requests are lost after the pod is back: {lost}, then {clients.lost}")
    if refused := [end for end in lost if end.isdigit()]:
        raise Wrong(f"a service that is up answered {', '.join(refused)}")
    missing = stage.counts_exactly(before, clients, unseen=100)
    seen = f'changes(process_start_time_seconds{{job="{watch.JOB}", pod="{name}"}}[10m]) > 0'
    stage.server.wait_for(seen, timeout=PATIENCE)
    what = ", ".join(f"{count} {end}" for end, count in sorted(lost.items())) or "none"
    return (
        f"{clients.answered} forecasts; {sum(lost.values())} requests lost ({what}), "
        f"and {missing} forecasts after the last scrape, which Prometheus does not know of"
    )


def deleted_while_starting(stage: Stage) -> str:
    """A pod deleted while it starts: it ends in time and by itself, with exit code 0."""
    grace = stage.deployment()["template"]["spec"]["terminationGracePeriodSeconds"]
    ends = [_deleted_after(moment, stage, grace) for moment in (0.0, 1.0, 3.0)]
    return ", ".join(f"{seconds:.0f} s" for seconds in ends) + f" of {grace} s until it was gone, exit code 0"


def evicted(stage: Stage) -> str:
    """Pods evicted, as from a node that is drained: one at a time, and nothing is lost."""
    first, second = stage.ready()
    before = stage.counted()
    with stage.load() as clients:
        stage.evict(first)
        try:
            stage.evict(second)
        except ClusterError as error:
            if "disruption budget" not in str(error):
                raise
        else:
            raise Wrong("both pods were evicted at once")
        stage.settle()
        stage.evict(second)
        stage.settle()
    stage.nothing_lost(clients)
    stage.counts_exactly(before, clients)
    return f"the second was refused while there was one; {clients.answered} forecasts, 0 requests lost"


def discovery(stage: Stage) -> str:
    """Prometheus finds each pod once, as the guide says, with metrics beside the API and on a port of their own."""
    found = [_scraped(stage, "8000"), _limit(stage)]
    stage.roll_out(components=["metrics-port"])
    stage.watch(watch.of_the_mixin("metrics"))
    found.append(_scraped(stage, "9000"))
    stage.roll_out()
    stage.watch(watch.of_the_guide())
    _scraped(stage, "8000")
    return "; ".join(found)


def broken_model(stage: Stage) -> str:
    """A model that can't be loaded is rolled out: it never gets traffic, and Prometheus says why."""
    good, before = set(stage.ready()), stage.counted()
    missing = {"KRONOS_MODEL": "/models/none", "KRONOS_TOKENIZER": "/models/none"}
    with stage.load() as clients:
        stage.cluster.apply(stage.manifests.objects(variables=missing))
        failing = f'kronos_model_loads_total{{job="{watch.JOB}", outcome="not_found"}} > 0'
        (broken,) = stage.server.wait_for(failing, timeout=PATIENCE)
        name = broken.labels["pod"]
        alert = {"alertname": "KronosInstanceNotReady", "instance": broken.labels["instance"]}
        stage.server.wait_for(f'kronos_model_ready{{job="{watch.JOB}", pod="{name}"}} == 0', timeout=PATIENCE)
        stage.cluster.until(
            "KronosInstanceNotReady to be pending",
            lambda: any(alert.items() <= one["labels"].items() for one in stage.server.alerts()),
        )
        if set(stage.ready()) != good:
            raise Wrong(f"{', '.join(stage.ready())} get traffic, not {', '.join(sorted(good))}")
        stage.kubectl("rollout", "undo", DEPLOYMENT)
        stage.settle()
    if set(stage.ready()) != good:
        raise Wrong("the good pods were replaced as well")
    stage.nothing_lost(clients)
    stage.counts_exactly(before, clients)
    served = stage.server.query(f'sum(max_over_time(kronos_requests_total{{pod="{name}"}}[1h]))')
    if served[0].value:
        raise Wrong(f"{name}, which has no model, got {served[0].value:g} requests")
    return f"{clients.answered} forecasts, 0 requests lost, 0 to the broken pod; KronosInstanceNotReady is pending"


SCENES: dict[str, Callable[[Stage], str]] = {
    "rolling-update": rolling_update,
    "broken-model": broken_model,
    "discovery": discovery,
    "evicted": evicted,
    "killed": killed,
    "deleted-while-starting": deleted_while_starting,
}


def _scraped(stage: Stage, port: str) -> str:
    """Wait until each pod is scraped once, on this port, and says so."""
    addresses = sorted(f"{pod['status']['podIP']}:{port}" for pod in stage.pods().values())

    def seen() -> list[str]:
        return sorted(target["labels"]["instance"] for target in stage.server.targets() if target["health"] == "up")

    try:
        stage.cluster.until("Prometheus to scrape the pods", lambda: seen() == addresses)
    except ClusterError as error:
        raise Wrong(f"{error}: pods at {addresses}, scraped are {stage.server.targets()}") from error
    return f"port {port}: {len(addresses)} pods, {len(addresses)} targets"


def _limit(stage: Stage) -> str:
    """Each pod tells the memory that its manifest limits it to."""
    limit = stage.deployment()["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    told = {sample.value for sample in stage.server.query(f'kronos_memory_limit_bytes{{job="{watch.JOB}"}}')}
    if told != {int(limit.removesuffix("Gi")) << 30}:
        raise Wrong(f"kronos_memory_limit_bytes is {told}, and the limit {limit}")
    return f"memory limit {limit}"


def _process(stage: Stage, name: str) -> int:
    """The id of the process of a pod's container."""
    wanted = container(stage.pods()[name])["containerID"].removeprefix("containerd://")
    for line in stage.cluster.ctr("tasks", "list").splitlines()[1:]:
        task, process, *_ = line.split()
        if task == wanted:
            return int(process)
    raise Wrong(f"containerd runs no task for {name}")


def _deleted_after(moment: float, stage: Stage, grace: float) -> float:
    """Delete a new pod so many seconds after its process has started; returns how many it took to end."""
    known = set(stage.pods())
    stage.kubectl("scale", DEPLOYMENT, "--replicas=3")
    stage.cluster.until("a third pod", lambda: len(stage.pods()) == 3)
    (name,) = set(stage.pods()) - known
    stage.cluster.until("its process", lambda: "running" in container(stage.pods()[name]).get("state", {}), PATIENCE)
    time.sleep(moment)
    version = stage.cluster.get(f"{OURS}/pods")["metadata"]["resourceVersion"]
    # The one that is not ready is the first to go. If it were only deleted, there would be another one.
    stage.kubectl("scale", DEPLOYMENT, "--replicas=2")
    return _end(stage, name, version, grace)


def _end(stage: Stage, name: str, since: str, grace: float) -> float:
    """Wait for the end of a pod that is to go; returns seconds. It must end by itself, within `grace` seconds."""
    start, code = time.monotonic(), None
    for what, pod in stage.cluster.changes(f"{OURS}/pods", since, grace + 30):
        if pod["metadata"]["name"] != name:
            continue
        code = container(pod).get("state", {}).get("terminated", {}).get("exitCode", code)
        if what == "DELETED":
            seconds = time.monotonic() - start
            if seconds > grace or code != 0:
                raise Wrong(f"{name} took {seconds:.0f} s to end, with exit code {code}")
            return seconds
    raise Wrong(f"{name} is still there after {grace + 30:g} s")
