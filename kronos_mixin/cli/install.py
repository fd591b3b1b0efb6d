"""`kronos-mixin install` and `update`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.console import UNREACHABLE, USAGE, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.vendor import install as installing
from kronos_mixin.vendor.errors import UnreachableError, VendorError
from kronos_mixin.vendor.install import Installed


@dataclass(frozen=True)
class Options:
    """What both commands take."""

    folder: Annotated[
        Path, typer.Option("--folder", "-C", help="Folder of jsonnetfile.json and vendor/.", metavar="DIR")
    ] = Path()
    force: Annotated[
        bool,
        typer.Option("--force", help="In vendor/, replace and remove also what you changed and did not commit."),
    ] = False


def tell(done: Installed, console: Reporter) -> None:
    """Print what was installed."""
    for note in done.notes:
        console.note(note)
    for package in done.packages:
        if package.fresh:
            console.done(f"vendor/{package.locked.name}: {package.wanted}, commit {package.locked.version[:12]}")
    for path in done.removed:
        console.done(f"{path}: removed, no package needs it")
    new = sum(package.fresh for package in done.packages)
    console.done(f"{len(done.packages)} packages in vendor/, {new} of them new or changed")
    console.end(installed(done))


def installed(done: Installed) -> dict[str, object]:
    """What was installed, for programs."""
    packages = [
        {"folder": package.locked.name, "wanted": package.wanted, "changed": package.fresh} | package.locked.data
        for package in done.packages
    ]
    return {"packages": packages, "removed": done.removed}


@contextlib.contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """Exit where installing is refused."""
    try:
        yield
    except UnreachableError as error:
        fail(str(error), UNREACHABLE)
    except VendorError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}")


@grouped
def install(
    urls: Annotated[
        list[str] | None,
        typer.Argument(help="Packages to add: URL@VERSION, or a folder.", metavar="URL", show_default=False),
    ] = None,
    single: Annotated[bool, typer.Option("--single", help="Add them without what they depend on.")] = False,
    alias: Annotated[
        str, typer.Option("--legacy-name", help="Short name of its link in vendor/.", metavar="NAME")
    ] = "",
    *,
    options: Options,
    console: Reporter,
) -> None:
    """Install Jsonnet packages into vendor/, as jb does.

    Reads and writes jsonnetfile.json and jsonnetfile.lock.json of jsonnet-bundler, with the same layout and sums, but
    needs git alone. What is locked stays as it is; what was fetched once needs no network again. Either everything
    is installed or nothing.

    \b
    Examples
    What jsonnetfile.json asks for:
      kronos-mixin install
    Add a package, and what it depends on:
      kronos-mixin install \\
        github.com/kubernetes-monitoring/kubernetes-mixin@version-1.3
    A folder of a private repository, by SSH:
      kronos-mixin install git@git.example.com:quant/kronos.git/mixin@v0.1.0 \\
        --legacy-name kronos-mixin
    A folder here:
      kronos-mixin install ./lib

    Without a version it is the default branch. Of several versions of a package, that of jsonnetfile.json is taken,
    else that of whoever comes first; a warning tells. Packages in vendor/ that nothing needs are removed; what you
    changed there yourself, and have not committed, is not. What was fetched is in ~/.cache/kronos-monitoring, or
    $KRONOS_CACHE.

    Exit code 0: installed; 1: refused, such as for a sum that differs from the lock's; 2: bad command line; 3: a
    remote can't be reached.
    """
    if alias and len(urls or []) != 1:
        fail("--legacy-name is for one URL", USAGE)
    if single and not urls:
        fail("--single is for URLs", USAGE)
    with refusals(options.folder), console.progress("installing"):
        done = installing.install(options.folder, urls or [], single=single, alias=alias, force=options.force)
    tell(done, console)


@grouped
def update(
    urls: Annotated[
        list[str] | None,
        typer.Argument(help="Packages, without a version. Default: all.", metavar="URL", show_default=False),
    ] = None,
    *,
    options: Options,
    console: Reporter,
) -> None:
    """Update Jsonnet packages in vendor/ to their newest commits.

    Does what `jb update` does: of all packages or some, it installs what their tag or branch stands for now, and
    locks it. To change the version itself, `install URL@VERSION`.

    \b
    Examples
      kronos-mixin update --format json
      kronos-mixin update github.com/grafana/jsonnet-libs/grafana-builder

    Exit code 0: up to date; 1: refused; 2: bad command line; 3: a remote can't be reached.
    """
    with refusals(options.folder), console.progress("updating"):
        done = installing.update(options.folder, urls or [], force=options.force)
    tell(done, console)
