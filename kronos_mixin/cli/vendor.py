"""`kronos-mixin vendor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.console import FAILED, USAGE, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.install import installed, refusals
from kronos_mixin.vendor import mixin


@grouped
def vendor(
    target_repo: Annotated[Path, typer.Argument(help="Folder of your repository.", metavar="TARGET_REPO")],
    remote: Annotated[
        str | None, typer.Option("--remote", help="Git repository of the Kronos mixin.", metavar="URL")
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Tag, branch or commit; a tag is best.", metavar="REF")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only report whether the vendored copy is outdated or was edited."),
    ] = False,
    *,
    console: Reporter,
) -> None:
    """Vendor the Kronos mixin into a Jsonnet repository.

    Does what `install URL/mixin@REF --legacy-name kronos-mixin` does, after a look at what is there: copies the mixin
    to vendor/<host>/<org>/<repo>/mixin, links it as vendor/kronos-mixin and records it in jsonnetfile.json and
    jsonnetfile.lock.json. Other packages stay as they are locked.

    \b
    Examples
      kronos-mixin vendor ~/monitoring --ref v0.1.0 \\
        --remote https://git.example.com/quant/kronos.git
    Then, in your mixin.libsonnet:
      (import 'kronos-mixin/mixin.libsonnet') + {
        _config+:: { kronos+: { job: 'forecasts' } },
      }
    Compile it:
      kronos-mixin compile --mixin mixin.libsonnet
    In CI:
      kronos-mixin vendor . --check --format json

    Exit code 0: vendored, or up to date; 1: outdated, edited or refused; 2: bad command line; 3: the remote can't be
    reached.
    """
    if not check and not (remote and ref):
        fail("vendor needs both --remote and --ref, or --check", USAGE)
    with refusals(target_repo):
        if check:
            with console.progress("asking the remote"):
                problems = mixin.outdated(target_repo, remote, ref)
            for problem in problems:
                console.result(problem)
            if not problems:
                console.done(f"{mixin.NAME} in {target_repo} is up to date")
            console.end({"problems": problems}, FAILED if problems else 0)
            return
        with console.progress("fetching"):
            done = mixin.vendor(target_repo, remote or "", ref or "")
    for note in done.notes:
        console.note(note)
    for package in done.packages:
        if package.locked.link == mixin.NAME:
            console.done(f"{target_repo}/vendor/{package.locked.name}: {ref}, commit {package.locked.version}")
    console.done(
        f"Import it with: (import '{mixin.NAME}/mixin.libsonnet') + {{ _config+:: {{ kronos+: {{ ... }} }} }}"
    )
    console.end(installed(done))
