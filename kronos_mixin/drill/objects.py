"""A drill for a configuration that this program can't reach: its objects as files, which somebody else applies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kronos_mixin.compile import rule_files
from kronos_mixin.connect import AnswerError, Client
from kronos_mixin.drill.environment import NAME, Environment
from kronos_mixin.formats import kubernetes, scrapeconfig
from kronos_mixin.written import header
from kronos_mixin.yamltext import to_yaml

WAIT = 3600.0
"""Seconds that somebody has for applying the objects, and again for taking them away."""


class WaitedError(Exception):
    """Nobody applied the objects, or took them away; the message says which."""


def texts(
    environment: Environment, job: Mapping[str, Any], labels: Mapping[str, str], namespace: str | None
) -> dict[str, str]:
    """The files by name: rule files and scrape job as Prometheus reads them, and the same as Kubernetes objects."""
    mixin = environment.mixin
    files = rule_files(mixin)
    files[f"{NAME}-scrape-config.yml"] = header(NAME) + to_yaml({"scrape_configs": [dict(job)]})
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        rule = kubernetes.prometheus_rule(f"{NAME}-{kind}", groups, labels, namespace)
        files[f"kubernetes/{NAME}-{kind}.prometheusrule.yml"] = header(NAME) + to_yaml(rule)
    scrape, _ = scrapeconfig.scrape_config(NAME, job, labels, namespace)
    files[f"kubernetes/{NAME}.scrapeconfig.yml"] = header(NAME) + to_yaml(scrape)
    return files


@contextlib.contextmanager
def applied(
    folder: Path, files: Mapping[str, str], environment: Environment, ruler: Client, say: Callable[[str], None]
) -> Iterator[None]:
    """Write the files, and wait until the ruler runs their rules; afterwards, until it no longer does.

    The files go away with that. Raises WaitedError, AnswerError and OSError, FileExistsError for files in the way.
    """
    folder.mkdir(parents=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    there = len([*environment.mixin.rules, *environment.mixin.alerts])
    say(
        f"Apply the objects in {folder}: `kubectl apply --server-side -f {folder / 'kubernetes'}`, or load the rule "
        "files and the scrape job there into your ruler and your Prometheus. Waiting for them ..."
    )
    try:
        _wait(ruler, environment, lambda count: count >= there, "Nobody has applied the objects")
        yield
    finally:
        say(
            f"Take the objects away now: `kubectl delete -f {folder / 'kubernetes'}`, or what you loaded otherwise. "
            "Their alerts end by themselves. Waiting for that ..."
        )
        try:
            _wait(ruler, environment, lambda count: count == 0, "Nobody has taken the objects away")
        except KeyboardInterrupt:
            raise WaitedError(f"The objects in {folder} are still applied, and so are these files.") from None
        for name in files:
            (folder / name).unlink(missing_ok=True)
        for made in (folder / "kubernetes", folder):
            with contextlib.suppress(OSError):  # Others have put something there.
                made.rmdir()


def _wait(ruler: Client, environment: Environment, enough: Callable[[int], bool], otherwise: str) -> None:
    names = {group["name"] for group in (*environment.mixin.rules, *environment.mixin.alerts)}
    deadline = time.monotonic() + WAIT
    while True:
        try:
            groups = ruler.data("/api/v1/rules")["data"].get("groups") or []
            if enough(len({group["name"] for group in groups} & names)):
                return
        except AnswerError as error:
            if error.forbidden or error.missing:
                raise
        if time.monotonic() > deadline:
            raise WaitedError(f"{otherwise} within {WAIT / 60:.0f} minutes.")
        time.sleep(1)
