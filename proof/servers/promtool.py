"""promtool's verdict on configurations, rules and the unit tests of rules."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from proof.servers.binaries import Tools

_SECONDS = 300


class CheckFailed(Exception):  # noqa: N818 - The check failed, not we.
    """promtool found something wrong; the message is its output."""


def check_config(tools: Tools, path: Path, *, syntax_only: bool = False) -> str:
    """Check a Prometheus configuration, and the files that it names unless `syntax_only`; return what it says."""
    return _run(tools, "check", "config", *(["--syntax-only"] if syntax_only else []), path)


def check_rules(tools: Tools, path: Path) -> str:
    """Check a file of rules, duplicates included; return promtool's output.

    promtool knows syntax only: a label that no series has is no error to it.
    """
    # Without --lint-fatal a duplicate is printed, and the exit code is 0.
    return _run(tools, "check", "rules", "--lint=all", "--lint-fatal", path)


def test_rules(tools: Tools, path: Path) -> str:
    """Run the unit tests of rules in a file; return promtool's output.

    A glob in `rule_files` that matches nothing is a success, and so is an alert that is expected to be
    silent under a wrong name: every such test needs one that fires beside it. In a test module call
    it as `promtool.test_rules`: under its bare name pytest takes it for a test.
    """
    return _run(tools, "test", "rules", path)


def blocks_from_openmetrics(tools: Tools, path: Path, data: Path) -> str:
    """Write the samples of an OpenMetrics file into the database `data`; return promtool's output.

    A server that is running sees the new blocks only after a minute or a restart.
    """
    return _run(tools, "tsdb", "create-blocks-from", "openmetrics", "--quiet", path, data)


def _run(tools: Tools, *arguments: str | Path) -> str:
    """Return what promtool wrote; raise CheckFailed with it when promtool fails or does not end."""
    named = f"promtool {tools.version} {' '.join(map(str, arguments))}"
    try:
        result = subprocess.run(
            [tools.promtool, *arguments],
            # A small heap and much garbage: to collect it less often saves a quarter of the CPU time.
            env={**os.environ, "GOGC": "400"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckFailed(f"{named}: no end within {_SECONDS} s:\n{error.output or ''}") from error
    if result.returncode:
        raise CheckFailed(f"{named}: exit code {result.returncode}:\n{result.stdout.strip()}")
    return result.stdout
