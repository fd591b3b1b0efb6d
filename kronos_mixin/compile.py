"""Turns an evaluated mixin into files for Prometheus, Grafana and Kubernetes."""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kronos_mixin import promql, promtool
from kronos_mixin.files import Transaction
from kronos_mixin.formats import alerting, kubernetes, openslo, scrapeconfig
from kronos_mixin.formats.converted import Converted, Place
from kronos_mixin.formats.grafana_v2 import dashboard as dashboard_v2
from kronos_mixin.jsonnet import CompileError, Mixin
from kronos_mixin.written import hash_of, header, list_path, listing, manifest, refuse_others
from kronos_mixin.yamltext import to_json, to_yaml


class Target(enum.StrEnum):
    """For whom files are compiled: Prometheus and Grafana themselves, their operators in Kubernetes, or other tools.

    Each but the first has a folder of its own, called by its name.
    """

    plain = "plain"
    kubernetes = "kubernetes"
    scrapeconfig = "scrapeconfig"
    grafana_alerts = "grafana-alerts"
    grafana_v2 = "grafana-v2"
    openslo = "openslo"


OURS = "kronos"
"""The name of our mixin, unless it has been given another."""

_SOURCES = {
    Target.scrapeconfig: "prometheusScrapeConfigs",
    Target.grafana_alerts: "prometheusAlerts",
    Target.grafana_v2: "grafanaDashboards",
    Target.openslo: "serviceLevelObjectives",
}
"""What of a mixin the converters read."""

_EXAMPLE = re.compile(r"://([\w.-]*\bexample\.com)\b")

_LARGEST = 1 << 20
"""Bytes of data that a ConfigMap may hold."""


def render(
    mixin: Mixin,
    targets: Collection[Target] = (Target.plain,),
    place: Place | None = None,
) -> dict[str, str]:
    """The text of every file, by its path relative to the output folder. The same mixin gives the same bytes.

    Raises CompileError for a dashboard whose file name leads out of the folder, or that is too large for Kubernetes.
    """
    for name in mixin.dashboards:
        if PurePosixPath(name).name != name or name in {".", ".."} or "\\" in name:
            raise CompileError(f"grafanaDashboards: {name!r} is no plain file name, such as 'node.json'")
    files: dict[str, str] = {}
    if Target.plain in targets:
        files |= _plain(mixin)
    if Target.kubernetes in targets:
        files |= _kubernetes(mixin, place or Place())
    for target, converted in _converted(mixin, targets, place or Place()):
        for name, data in converted.files.items():
            text = to_json(data) if name.endswith(".json") else header(mixin.name) + to_yaml(data)
            files[f"{target}/{_own_name(mixin, name)}"] = text
    return files


def dashboard_path(mixin: Mixin, file: str) -> str:
    """Where a dashboard goes: below the mixin's name, and there in Grafana's folder, if the mixin has one.

    A provider with `foldersFromFilesStructure` makes a folder of the last part. Ours have our name already.
    """
    if mixin.name == OURS:
        return f"grafana/{file}"
    return "/".join(["grafana", mixin.name, *filter(None, [re.sub(r"[/\\]|^\.+$", "-", mixin.folder)]), file])


def lost(mixin: Mixin, targets: Collection[Target]) -> list[str]:
    """What the formats of ``targets`` can't carry, a sentence each."""
    sentences = []
    for target, converted in _converted(mixin, targets, Place()):
        if not converted.files:
            sentences.append(f"{target}: nothing to write: the mixin has no {_SOURCES[target]}")
        sentences += [f"{target}: {sentence}" for sentence in converted.lost]
    return sentences


def refuse_invalid(mixin: Mixin) -> list[str]:
    """Warnings about expressions of rules that your Prometheus may not know.

    Raises CompileError if there is one that no Prometheus takes: it would refuse the whole file. And if there is one
    that would be wrong on a shard, if that is what the rules are for.
    """
    _refuse_on_shard(mixin)
    certain: list[str] = []
    doubtful: list[str] = []
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        for rule in (rule for group in groups for rule in group.get("rules", [])):
            if said := promtool.judge(rule["expr"], promql.read(rule["expr"], None)):
                name = rule.get("alert", rule.get("record"))
                (certain if said.certain else doubtful).append(f"{mixin.name}-{kind}.yml: {name}: {said.sentence}")
    if certain:
        raise CompileError("\n".join([*certain, "Prometheus would refuse these rules"]))
    return doubtful


def _refuse_on_shard(mixin: Mixin) -> None:
    """Raise CompileError for rules that need all instances, where only a part of them is known."""
    wrong = [
        f"{mixin.name}-{kind}.yml: {rule.get('alert', rule.get('record'))}: {mixes}"
        for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts))
        for group in groups
        for rule in group.get("rules", [])
        if mixin.config.get("shard") and (mixes := promql.mixes_instances(rule["expr"]))
    ]
    if wrong:
        remedy = (
            "a shard has only a part of the instances: leave these rules out, and load them where all series meet"
        )
        raise CompileError("\n".join([*wrong, remedy]))


def example_links(mixin: Mixin) -> str:
    """A warning if links in the alerts still lead to the hosts of the defaults; empty if none does."""
    knobs = [knob for knob in ("runbookURL", "dashboardURL") if _EXAMPLE.search(str(mixin.config.get(knob, "")))]
    if not knobs or not mixin.alerts:
        return ""
    hosts = " and ".join(_EXAMPLE.findall(mixin.config[knob])[0] for knob in knobs)
    return f"Links in alerts lead to {hosts}, which are examples: set {' and '.join(knobs)} with --config."


def rule_file_names(name: str) -> tuple[str, str]:
    """How the files with the rules, and with the alerts, of the mixin ``name`` are called."""
    return f"{name}-rules.yml", f"{name}-alerts.yml"


def rule_files(mixin: Mixin) -> dict[str, str]:
    """Text of the rule files alone, by file name; a mixin without alerts, or without rules, has one file less."""
    return {
        file: header(mixin.name) + to_yaml({"groups": readable(groups)})
        for file, groups in zip(rule_file_names(mixin.name), (mixin.rules, mixin.alerts), strict=True)
        # Ours are always there, so that a rule_files entry, and a dashboard link, never leads nowhere.
        if groups or mixin.name == OURS
    }


def write(files: Mapping[str, str], output: Path, name: str = OURS, source: Path | None = None) -> list[Path]:
    """Write ``files`` of the mixin ``name`` below ``output``, and remove what an older one of it left there.

    All or none: a full disk or a lost permission leaves everything as it was. What is ours is known from the
    manifest that lies beside them: a file of somebody else is neither replaced (FileExistsError) nor removed, nor is
    one that was edited since. Returns what it left standing for that reason. ``source`` is where the mixin is:
    another one of the same name is not this one. Raises OSError.
    """
    refuse_others(files, output, name, source)
    known = manifest(output, name)
    old = {path: known[path.relative_to(output).as_posix()] for path in leftovers(files, output, name)}
    edited = [path for path, digest in old.items() if hash_of(path.read_bytes()) != digest]
    with Transaction() as transaction:
        for path, text in files.items():
            transaction.write(output / path, text.encode())
        for leftover in old:
            if leftover not in edited:
                transaction.remove(leftover)
        transaction.write(list_path(output, name), listing(files, output, source).encode())
        transaction.commit()
    folders = {folder for path in known for folder in (output / path).parents if folder.is_relative_to(output)}
    for folder in sorted(folders - {output}, reverse=True):
        with contextlib.suppress(OSError):  # It is not empty.
            folder.rmdir()
    return edited


def leftovers(files: Mapping[str, str], output: Path, name: str = OURS) -> list[Path]:
    """What was compiled from the mixin ``name`` into ``output``, and would not be today."""
    return [output / path for path in manifest(output, name) if path not in files and (output / path).is_file()]


def targets_in(output: Path, name: str = OURS) -> set[Target]:
    """The targets that ``output`` holds files of."""
    folders = {Path(path).parts[0] for path in manifest(output, name)}
    own = {target for target in Target if target in folders}
    return own | ({Target.plain} if folders - own else set())


def _plain(mixin: Mixin) -> dict[str, str]:
    files = {dashboard_path(mixin, name): to_json(board) for name, board in sorted(mixin.dashboards.items())}
    files |= {f"prometheus/{name}": text for name, text in rule_files(mixin).items()}
    if mixin.scrape_configs:
        scrape = "prometheus-scrape-config.yml" if mixin.name == OURS else f"{mixin.name}-scrape-config.yml"
        files[f"prometheus/{scrape}"] = header(mixin.name) + to_yaml({"scrape_configs": mixin.scrape_configs})
    if mixin.central:
        alerts = to_yaml({"groups": readable(mixin.central)})
        files[f"central/{mixin.name}-central-alerts.yml"] = header(mixin.name) + alerts
    if mixin.alertmanager:
        files["alertmanager/alertmanager-example.yml"] = header(mixin.name) + to_yaml(mixin.alertmanager)
    return files


def _converted(mixin: Mixin, targets: Collection[Target], place: Place) -> Iterator[tuple[Target, Converted]]:
    if Target.scrapeconfig in targets:
        yield Target.scrapeconfig, scrapeconfig.convert(mixin.scrape_configs, mixin.name, place)
    if Target.grafana_alerts in targets:
        yield Target.grafana_alerts, alerting.convert(mixin.alerts, mixin.name, mixin.folder, place)
    if Target.grafana_v2 in targets:
        yield Target.grafana_v2, dashboard_v2.convert(mixin.dashboards)
    if Target.openslo in targets:
        yield Target.openslo, openslo.convert(mixin.objectives, mixin.name)


def _kubernetes(mixin: Mixin, place: Place) -> dict[str, str]:
    files = {}
    labels = {"app.kubernetes.io/part-of": kubernetes.object_name(mixin.name), **place.labels}
    namespace = place.namespace
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        if groups:
            name = f"{mixin.name}-{kind}"
            data = kubernetes.prometheus_rule(name, readable(groups), labels, namespace)
            files[f"kubernetes/{name}.prometheusrule.yml"] = header(mixin.name) + to_yaml(data)
    stems = {file: _own_name(mixin, file.removesuffix(".json")) for file in sorted(mixin.dashboards)}
    names = kubernetes.object_names(stems.values())
    for file, stem in stems.items():
        data = kubernetes.config_map(names[stem], stem, mixin.dashboards[file], labels, namespace, mixin.folder)
        if (size := sum(len(text.encode()) for text in data["data"].values())) > _LARGEST:
            raise CompileError(
                f"grafanaDashboards: {file} has {size} bytes, more than the 1 MiB of a ConfigMap: "
                "split it, or leave out --target kubernetes"
            )
        files[f"kubernetes/{stem}.configmap.yml"] = header(mixin.name) + to_yaml(data)
    for path, described in mixin.manifests.items():
        data = kubernetes.selectable(described, labels)
        files[f"kubernetes/{path}"] = header(mixin.name) + to_yaml(data)
    return files


def _own_name(mixin: Mixin, stem: str) -> str:
    """A dashboard's name among those of all mixins."""
    named = mixin.name == OURS or re.match(rf"{re.escape(mixin.name)}([-_.]|$)", stem)
    return stem if named else f"{mixin.name}-{stem}"


def readable(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups with their expressions laid out over lines, and the fields in the order in which people read them."""
    order = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
    return [
        {
            "name": group["name"],
            **{key: value for key, value in group.items() if key not in {"name", "rules"}},
            "rules": [
                {key: promql.pretty(str(rule[key])) if key == "expr" else rule[key] for key in order if key in rule}
                for rule in group.get("rules", [])
            ],
        }
        for group in groups
    ]
