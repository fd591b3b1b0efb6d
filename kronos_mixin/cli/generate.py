"""`kronos-mixin generate`."""

from __future__ import annotations

from pathlib import Path

from kronos_mixin import documents
from kronos_mixin.changes import Verb, of_file
from kronos_mixin.cli.console import Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, OutputOption
from kronos_mixin.compile import Target, render, targets_in, write
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate


@grouped
def generate(output: OutputOption = DEFAULT_OUTPUT, *, console: Reporter) -> None:
    """Update all generated files in a checkout.

    These are the compiled files, the list of knobs, and what runbooks and the guide quote from the mixin and its
    contract. Run it after a change to mixin/, settings or log fields; `check` names what is out of date.

    \b
    Examples
      python build.py generate
      python build.py generate --format json

    Exit code 0: everything is up to date; 1: an error in the mixin or a document; 2: bad command line.
    """
    mixin = mixin_path()
    try:
        with console.progress("generating"):
            data = evaluate(mixin)
            files = render(data, {Target.plain} | targets_in(output, data.name))
            verbs = {output / file: of_file(output / file, text) for file, text in files.items()}
            write(files, output, data.name)
            verbs |= dict.fromkeys(documents.write(mixin, data), Verb.change)
    except (CompileError, ContractError, documents.DocumentError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}")
    here = Path.cwd()
    shown = {path.relative_to(here) if path.is_relative_to(here) else path: verb for path, verb in verbs.items()}
    changed = [path for path, verb in shown.items() if verb is not Verb.same]
    for path in changed:
        console.done(f"{path}: written")
    if not changed:
        console.done("everything is up to date")
    console.end({"files": [{"path": str(path), "verb": verb} for path, verb in shown.items()]})
