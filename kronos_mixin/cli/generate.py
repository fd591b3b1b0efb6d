"""`kronos-mixin generate`."""

from __future__ import annotations

from pathlib import Path

from kronos_mixin import documents
from kronos_mixin.cli.console import Console, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, OutputOption
from kronos_mixin.compile import Target, render, targets_in, write
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate


@grouped
def generate(output: OutputOption = DEFAULT_OUTPUT, *, console: Console) -> None:
    """Update all generated files in a checkout.

    These are the compiled files, the list of knobs, and what runbooks and the guide quote from the mixin and its
    contract. Run it after a change to mixin/, settings or log fields; `check` names what is out of date.

    \b
    Example
      python build.py generate

    Exit code 0: everything is up to date; 1: an error in the mixin or a document; 2: bad command line.
    """
    mixin = mixin_path()
    try:
        with console.progress("generating"):
            data = evaluate(mixin)
            files = render(data, {Target.plain} | targets_in(output, data.name))
            before = {path: path.read_bytes() for path in map(output.joinpath, files) if path.is_file()}
            write(files, output, data.name)
            changed = [path for path in map(output.joinpath, files) if before.get(path) != path.read_bytes()]
            changed += documents.write(mixin, data)
    except (CompileError, ContractError, documents.DocumentError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")
    here = Path.cwd()
    for path in changed:
        console.done(f"{path.relative_to(here) if path.is_relative_to(here) else path}: written")
    if not changed:
        console.done("everything is up to date")
