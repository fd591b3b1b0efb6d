"""The manifests as they are compiled, with what one small node of an old Kubernetes needs changed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin.compile import Target, render, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.cluster.configuration import WATCHER
from proof.servers import kustomize

NAMESPACE = "forecasts"
IMAGE = "localhost/kronos"
TAG = "built"


@dataclass(frozen=True)
class Adaptation:
    """A patch of one kind of object, and why it has to be."""

    kind: str
    steps: tuple[Mapping[str, Any], ...]
    why: str


ADAPTATIONS = (
    Adaptation(
        "PodDisruptionBudget",
        (
            {"op": "replace", "path": "/apiVersion", "value": "policy/v1beta1"},
            {"op": "remove", "path": "/spec/unhealthyPodEvictionPolicy"},
        ),
        "`policy/v1` came with 1.21, and `unhealthyPodEvictionPolicy` with 1.26",
    ),
    Adaptation(
        "Deployment",
        ({"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": "100m"},),
        "three pods, as there are while one is replaced, have to fit on a node of two cores",
    ),
)
"""All that differs from what is compiled, but for the name of the image."""


class Manifests:
    """The compiled base and its components; `folder` is an empty one for them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        write(render(evaluate(mixin_path()), [Target.kubernetes]), folder)

    def objects(
        self, components: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """The objects to apply, in a namespace of their own, with variables for the service."""
        patches = [_patch(one.kind, one.steps) for one in ADAPTATIONS]
        path = "/spec/template/spec/containers/0/env/-"
        given = [{"name": name, "value": value} for name, value in (variables or {}).items()]
        patches += [_patch("Deployment", [{"op": "add", "path": path, "value": one}]) for one in given]
        further = {
            "namespace": NAMESPACE,
            "images": [{"name": "kronos", "newName": IMAGE, "newTag": TAG}],
            "patches": patches,
        }
        return self._overlay(components, further)

    def compiled(self) -> list[dict[str, Any]]:
        """The base as it is compiled."""
        return self._overlay((), {})

    def _overlay(self, components: Sequence[str], further: Mapping[str, Any]) -> list[dict[str, Any]]:
        compiled = self._folder / "kubernetes"
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            chosen = [compiled / "components" / name for name in components]
            return kustomize.overlay(Path(folder), compiled / "base", chosen, further)


def namespace() -> dict[str, Any]:
    """The namespace of the service."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def rights() -> list[dict[str, Any]]:
    """What Prometheus may do: what the guide says that discovery needs."""
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": WATCHER}}
    group = "rbac.authorization.k8s.io"
    return [
        {**role, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]},
        {
            **role,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": WATCHER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": WATCHER}],
        },
    ]


def _patch(kind: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"target": {"kind": kind}, "patch": json.dumps(list(steps))}
