"""Every alert, drilled through the oldest and the newest Prometheus and Alertmanager: `nox -s drill`.

The reports stay in `drill-reports/`, one folder for each Prometheus.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import alertmanager, binaries
from proof.servers.alertmanager import Alertmanager, Receivers, hurried
from proof.servers.prometheus import Prometheus

REPORTS = Path("drill-reports")


def drill(tools: binaries.Tools, manager_tools: alertmanager.Tools, *options: str) -> int:
    """Drill through servers of these versions; returns the exit code."""
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="kronos-drill-")))
        receivers = running.enter_context(Receivers())
        config = hurried(evaluate(mixin_path()).alertmanager, receivers.url)
        manager = running.enter_context(Alertmanager(manager_tools, config))
        target = {"targets": [manager.url.removeprefix("http://")]}
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump({"alerting": {"alertmanagers": [{"static_configs": [target]}]}}))
        before = path.read_bytes()
        server = running.enter_context(Prometheus(tools, path))
        print(f"Prometheus {tools.version}, Alertmanager {manager_tools.version}", flush=True)
        command = [sys.executable, "-m", "kronos_mixin", "drill", str(path), "--prometheus", server.url, "--yes"]
        output = REPORTS / f"prometheus-{tools.version}"
        code = subprocess.run([*command, "--output", str(output), *options], check=False).returncode
        left = sorted(one.name for one in folder.iterdir())
        if path.read_bytes() != before or left != [path.name]:
            print(f"something is left of the drill: {', '.join(left)}", file=sys.stderr)
            return 1
        return code


def main() -> None:
    """Arguments go to `kronos-mixin drill`."""
    servers, managers = binaries.every(say=print), alertmanager.every(say=print)
    pairs = {(servers[0], managers[0]), (servers[-1], managers[-1])}
    codes = [drill(*pair, *sys.argv[1:]) for pair in sorted(pairs, key=lambda pair: pair[0].release)]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
