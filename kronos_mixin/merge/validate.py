"""Has promtool check a change before it is made."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kronos_mixin import promtool
from kronos_mixin.files import scratch
from kronos_mixin.merge import splice
from kronos_mixin.merge.plan import Plan
from kronos_mixin.merge.prometheusyml import MergeError, is_agents, unknown


def validate(plan: Plan) -> list[str]:
    """Have promtool, if it is on PATH, check the files as they would be; returns warnings.

    Raises MergeError with its words. A configuration that names files which are not on this machine passes by its
    syntax: it did not pass before, either.
    """
    if not promtool.available():
        if plan.entries and (others := unknown(plan.before)):
            raise MergeError(
                f"has {', '.join(others)}, which this program does not know of a Prometheus configuration: put the "
                "promtool of your Prometheus on PATH, to check it"
            )
        return ["promtool is not on PATH: only the syntax was checked"]
    with tempfile.TemporaryDirectory(prefix="kronos-mixin-") as folder:
        staged = {path: Path(folder) / path.name for path in plan.rule_files}
        for path, temporary in staged.items():
            temporary.write_text(plan.rule_files[path], encoding="utf-8")
        notes: list[str] = []
        if staged and (verdict := promtool.check_rules(*staged.values())).said:
            if not verdict.experimental:
                raise MergeError(f"promtool refuses the rules:\n{verdict.said}")
            notes = [f"The rules need a feature that your Prometheus must be started with:\n{verdict.said}"]
        new = plan.new
        if plan.rule_files:
            # The rule files are not where they will be, and promtool looks into them; it has no features there.
            names = [] if notes else [str(temporary) for temporary in staged.values()]
            entries = {**plan.entries, "rule_files": names}
            new = splice.merge(plan.old, plan.name, entries)
        check = ["check", "config", *(["--agent"] if is_agents(plan.after) else [])]
        with scratch(plan.config.absolute().parent, new) as path:
            said = promtool.complaint(*check, str(path))
            if not said:
                return notes
            with scratch(plan.config.absolute().parent, plan.old) as before:
                if not promtool.complaint(*check, str(before)):
                    raise MergeError(f"promtool refuses it with these changes:\n{said}")
            if promtool.complaint(*check, "--syntax-only", str(path)):
                raise MergeError(
                    "promtool refuses it, with and without these changes (if it belongs to another Prometheus than "
                    f"yours, take it off PATH):\n{said}"
                )
    return [
        *notes,
        f"promtool refuses this configuration for what it names, before these changes and with them:\n{said}",
    ]
