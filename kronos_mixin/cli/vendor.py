"""The command vendor: for those who keep Jsonnet of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.say import NO, UNKNOWN, USAGE, Say, fail
from kronos_mixin.vendor import NAME, UnreachableError, VendorError, behind, lay


@grouped
def vendor(
    target_repo: Annotated[Path, typer.Argument(help="Folder of your repository.", metavar="TARGET_REPO")],
    remote: Annotated[
        str | None, typer.Option("--remote", help="Repository that the Kronos mixin is published in.", metavar="URL")
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="Tag, branch or commit; a tag is best.", metavar="REF")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; tell whether the copy there is behind, or was edited."),
    ] = False,
    *,
    speak: Say,
) -> None:
    """Lay the Kronos mixin into a repository of yours, as jsonnet-bundler would, without jb or Go.

    It goes to vendor/<host>/<org>/<repo>/mixin, with the link vendor/kronos-mixin, and into jsonnetfile.json and
    jsonnetfile.lock.json. `jb install` and `jb update` work on from there. Your other dependencies stay.

    \b
    Examples
      kronos-mixin vendor ~/monitoring --remote https://git.example.com/quant/kronos.git --ref v0.1.0
    Then, in a mixin.libsonnet of yours:
      (import 'kronos-mixin/mixin.libsonnet') + {
        _config+:: { kronos+: { job: 'forecasts' } },
      }
    Compile it:
      kronos-mixin compile --mixin mixin.libsonnet
    In CI:
      kronos-mixin vendor . --check

    Exit code 0: laid in, or up to date; 1: behind, edited, or refused; 2: the command line is wrong; 3: the remote
    repository can't be asked.
    """
    if not check and not (remote and ref):
        fail("vendor: --remote and --ref must both be given, or --check", USAGE)
    try:
        if check:
            with speak.progress("asking the remote repository"):
                problems = behind(target_repo, remote, ref)
            for problem in problems:
                speak.result(problem)
            if problems:
                raise typer.Exit(NO)
            speak.done(f"{NAME} in {target_repo} is up to date")
            return
        with speak.progress("fetching"):
            place, commit = lay(target_repo, remote or "", ref or "")
    except UnreachableError as error:
        fail(str(error), UNKNOWN)
    except VendorError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or target_repo}: {error.strerror or error}")
    speak.done(f"{place}: {ref}, commit {commit}")
    speak.done(f"Import it: (import '{NAME}/mixin.libsonnet') + {{ _config+:: {{ kronos+: {{ ... }} }} }}")
