"""promtool, where it is on PATH: what it says of rules and of configurations."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from kronos_mixin.promql import Reading

_SECONDS = 300
_FEATURES = (
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
)
"""What promtool takes as PromQL if told to; it passes over what it does not know."""


def available() -> bool:
    """Whether promtool is on PATH."""
    return shutil.which("promtool") is not None


class Verdict(NamedTuple):
    """What promtool says against rules; empty if it is content."""

    said: str
    experimental: bool = False
    """It only asks for a feature that a Prometheus has to be started with."""


def check_rules(*paths: Path) -> Verdict:
    """What promtool says of rule files."""
    said = complaint("check", "rules", *map(str, paths))
    if said and "experimental" in said:
        # Newer features than promtool can switch on are experimental, too.
        again = complaint(f"--enable-feature={','.join(_FEATURES)}", "check", "rules", *map(str, paths))
        return Verdict(said, experimental=not again or "experimental" in again)
    return Verdict(said)


def check_expression(expression: str) -> Verdict:
    """What promtool says of an expression, put into a rule."""
    with tempfile.TemporaryDirectory(prefix="kronos-mixin-") as folder:
        path = Path(folder) / "rules.yml"
        rules = [{"record": "x", "expr": expression}]
        path.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}), encoding="utf-8")
        verdict = check_rules(path)
    # The last words are about the expression, those before about the file.
    return verdict._replace(said=verdict.said.rpartition("could not parse expression: ")[2])


class Judgement(NamedTuple):
    """What is to be said of an expression that this program can't read, or only in older words."""

    sentence: str
    certain: bool
    """No Prometheus takes it; else one may, if it is new enough or started with a feature."""


def judge(expression: str, reading: Reading) -> Judgement | None:
    """What to say of ``expression``, whose ``reading`` that is: promtool knows better, if it is on PATH."""
    if reading.parsed and not reading.newer:
        return None
    problem = f"uses {' and '.join(reading.newer)}".rstrip(",") if reading.parsed else reading.problems[-1]
    if not available():
        advice = "" if reading.certain else "; put the promtool of your Prometheus on PATH, to check it"
        return Judgement(f"{problem}{advice}", reading.certain)
    said, experimental = check_expression(expression)
    if experimental:
        return Judgement(f"{problem}, and asks for a feature of Prometheus ({said})", certain=False)
    if said:
        return Judgement(f"promtool refuses it: {said}", certain=True)
    return (
        None if reading.parsed else Judgement(f"{problem}; promtool can: its series were not checked", certain=False)
    )


def complaint(*arguments: str) -> str:
    """What `promtool` with these arguments has to say against them; empty if it is content."""
    program = shutil.which("promtool") or "promtool"
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"promtool did not answer within {_SECONDS} s"
    return (done.stderr.strip() or done.stdout.strip() or "no reason") if done.returncode else ""
