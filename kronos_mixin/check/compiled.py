"""Checks that compiled files are up to date, and that promtool accepts the rules."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from kronos_mixin import promtool
from kronos_mixin.check.finding import Finding
from kronos_mixin.compile import leftovers, rule_files
from kronos_mixin.jsonnet import Mixin


def drift(files: Mapping[str, str], output: Path, name: str, compile_command: str) -> Iterator[Finding]:
    """Report files in ``output`` that differ from ``files``, to which ``compile_command`` compiles the mixin."""
    remedy = f"run `{compile_command}`"
    for file, text in files.items():
        path = output / file
        if not path.is_file():
            yield Finding(file, "", f"is missing in {output}: {remedy}")
        elif path.read_bytes() != text.encode():
            yield Finding(file, "", f"is not what the mixin compiles to: {remedy}, and commit the result")
    for path in leftovers(files, output, name):
        yield Finding(str(path.relative_to(output)), "", f"is no longer made by the mixin: {remedy}")


def refused_rules(mixin: Mixin) -> Iterator[Finding]:
    """Report what promtool says about the mixin's rule files; nothing if promtool is not on PATH."""
    if not promtool.available():
        return
    with tempfile.TemporaryDirectory(prefix="kronos-mixin-") as folder:
        for name, text in rule_files(mixin).items():
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8")
            said, experimental = promtool.check_rules(path)
            if said:
                yield Finding(f"prometheus/{name}", "promtool", said.replace(str(path), name), warning=experimental)
