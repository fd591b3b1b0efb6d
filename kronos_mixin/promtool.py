"""promtool, where it is on PATH: what it says of rules and of configurations."""

from __future__ import annotations

import shutil
import subprocess

_SECONDS = 300


def available() -> bool:
    """Whether promtool is on PATH."""
    return shutil.which("promtool") is not None


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
