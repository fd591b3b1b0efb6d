"""Turns an evaluated mixin into files for Prometheus, Grafana and Kubernetes."""

from __future__ import annotations

import contextlib
import enum
import errno
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from kronos_mixin import kubernetes, promql, promtool
from kronos_mixin.files import Transaction
from kronos_mixin.formats import alerting, openslo, scrapeconfig
from kronos_mixin.formats.converted import Converted, Place
from kronos_mixin.jsonnet import CompileError, Mixin
from kronos_mixin.yamltext import to_json, to_yaml


class Target(enum.StrEnum):
    """For whom files are compiled: Prometheus and Grafana themselves, their operators in Kubernetes, or other tools.

    Each but the first has a folder of its own, called by its name.
    """

    plain = "plain"
    kubernetes = "kubernetes"
    scrapeconfig = "scrapeconfig"
    grafana_alerts = "grafana-alerts"
    openslo = "openslo"


_HEADER = "# Compiled from the mixin {} by kronos-mixin. Don't edit: change the mixin, or its configuration.\n"
_HEADERS = re.compile(
    r"# Compiled from (?:the mixin (?P<mixin>.*) by kronos-mixin|.*)\. "
    r"Don't edit: change the mixin, or its configuration\.\n"
)
_MANIFEST_HEADER = (
    "# What `kronos-mixin compile` wrote here. It removes these when they are left over, and nothing else.\n"
)

OURS = "kronos"
"""The name of our mixin, unless it has been given another."""

_EXAMPLE = re.compile(r"://([\w.-]*\bexample\.com)\b")

_LARGEST = 1 << 20
"""Bytes of data that a ConfigMap may hold."""


def render(
    mixin: Mixin,
    targets: Collection[Target] = (Target.plain,),
    place: Place | None = None,
) -> dict[str, str]:
    """The text of every file, by its path relative to the output folder. The same mixin gives the same bytes.

    Raises CompileError for a dashboard whose
    file name leads out of the folder, or that is too large for Kubernetes.
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
    converted = _converted(mixin, targets, Place())
    return [f"{target}: {sentence}" for target, one in converted for sentence in one.lost]


def refuse_invalid(mixin: Mixin) -> list[str]:
    """Warnings about expressions of rules that your Prometheus may not know.

    Raises CompileError if there is one that no Prometheus takes: it would refuse the whole file.
    """
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


def example_links(mixin: Mixin) -> str:
    """A warning if links in the alerts still lead to the hosts of the defaults; empty if none does."""
    knobs = [knob for knob in ("runbookURL", "dashboardURL") if _EXAMPLE.search(str(mixin.config.get(knob, "")))]
    if not knobs or not mixin.alerts:
        return ""
    hosts = " and ".join(_EXAMPLE.findall(mixin.config[knob])[0] for knob in knobs)
    return f"Links in alerts lead to {hosts}, which are examples: set {' and '.join(knobs)} with --config."


def header(name: str) -> str:
    """The first line of every YAML file that is compiled from the mixin ``name``."""
    return _HEADER.format(name)


def has_header(text: str) -> bool:
    """Whether this program, in any version, wrote a file that begins with ``text``."""
    return _HEADERS.match(text) is not None


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


def write(files: Mapping[str, str], output: Path, name: str = "kronos") -> list[Path]:
    """Write ``files`` of the mixin ``name`` below ``output``, and remove what an older one of it left there.

    All or none: a full disk or a lost permission leaves everything as it was. What is ours is known from the
    manifest that lies beside them: a file of somebody else is neither replaced (FileExistsError) nor removed, nor is
    one that was edited since. Returns what it left standing for that reason. Raises OSError.
    """
    _refuse_others(files, output, name)
    known = manifest(output, name)
    listing = {path: _hash(text.encode()) for path, text in sorted(files.items())}
    edited = [
        path for path in leftovers(files, output, name) if _hash(path.read_bytes()) != known[_below(path, output)]
    ]
    with Transaction() as transaction:
        for path, text in files.items():
            transaction.write(output / path, text.encode())
        for leftover in leftovers(files, output, name):
            if leftover not in edited:
                transaction.remove(leftover)
        text = _MANIFEST_HEADER + "".join(f"{digest}  {path}\n" for path, digest in listing.items())
        transaction.write(_manifest_path(output, name), text.encode())
        transaction.commit()
    folders = {folder for path in known for folder in (output / path).parents if folder.is_relative_to(output)}
    for folder in sorted(folders - {output}, reverse=True):
        with contextlib.suppress(OSError):  # It is not empty.
            folder.rmdir()
    return edited


def leftovers(files: Mapping[str, str], output: Path, name: str = "kronos") -> list[Path]:
    """What was compiled from the mixin ``name`` into ``output``, and would not be today."""
    return [output / path for path in manifest(output, name) if path not in files and (output / path).is_file()]


def manifest(output: Path, name: str = "kronos") -> dict[str, str]:
    """What was compiled from the mixin ``name`` into ``output``: paths relative to it, with their hashes.

    In the format of sha256sum, so `sha256sum --check` finds what was edited.
    """
    try:
        lines = _manifest_path(output, name).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    pairs = (line.partition("  ") for line in lines if not line.startswith("#"))
    # A path that leads out of the folder can only come from somebody else's hand.
    return {path: digest for digest, _, path in pairs if path and ".." not in Path(path).parts and path[0] != "/"}


def targets_in(output: Path, name: str = "kronos") -> set[Target]:
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


def _refuse_others(files: Mapping[str, str], output: Path, name: str) -> None:
    """Raise FileExistsError if a file that is about to be written is somebody else's."""
    others = {path: by for by in _mixins_in(output) - {name} for path in manifest(output, by)}
    known = manifest(output, name)
    for path, text in files.items():
        by = others.get(path) or _author(output / path)
        if by and by != name:
            reason = f"is of the mixin {by}, and {name} would replace it: give one of them another --name or --output"
        elif path not in known and not by and _foreign(output / path, text):
            reason = "is there and was not written by this program: move it away, or choose another --output"
        else:
            continue
        raise FileExistsError(errno.EEXIST, reason, str(output / path))


def _mixins_in(output: Path) -> set[str]:
    """The mixins that were compiled into a folder, by name."""
    return {path.name.removesuffix(".sha256") for path in output.glob("*.sha256")}


def _author(path: Path) -> str:
    """The mixin whose name is in the header of a file; empty without one."""
    try:
        with path.open(encoding="utf-8") as file:
            found = _HEADERS.match(file.readline())
    except (OSError, UnicodeDecodeError):
        return ""
    return found["mixin"] if found else ""


def _foreign(path: Path, text: str) -> bool:
    """Whether a file that is about to be replaced, and is in no manifest, is somebody else's."""
    try:
        old = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False  # Writing will say what is wrong.
    except UnicodeDecodeError:
        return True
    if old == text:
        return False
    try:
        uid = json.loads(old)["uid"]
    except (ValueError, TypeError, KeyError):
        return True
    # The same uid: to Grafana an older version of the same dashboard.
    return not uid or json.loads(text).get("uid") != uid


def _manifest_path(output: Path, name: str) -> Path:
    return output / f"{name}.sha256"


def _below(path: Path, output: Path) -> str:
    return path.relative_to(output).as_posix()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
