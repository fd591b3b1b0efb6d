"""The command line: `kronos-mixin`, or `python build.py` in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
import yaml

from kronos_mixin import __version__
from kronos_mixin.check import check as find
from kronos_mixin.compile import render, write
from kronos_mixin.contract import ContractError, load_contract, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

OutputOption = Annotated[Path, typer.Option("--output", help="Folder of the compiled files.")]
ConfigOption = Annotated[
    list[Path] | None,
    typer.Option("--config", help="YAML laid over _config, as in `kronos: {rateWindow: 1m}`. May be repeated."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kronos-mixin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile and check the Kronos mixin: recording rules, alerts, dashboards and a scrape config."""


@app.command()
def compile(output: OutputOption = Path("monitoring"), config: ConfigOption = None) -> None:  # noqa: A001
    """Compile the mixin into files for Prometheus and Grafana.

    Exit code 0: written; 1: the mixin or its configuration is wrong, or the folder can't be written.

    Example: kronos-mixin compile --output monitoring --config my-config.yml
    """
    files = render(_evaluate(config))
    try:
        write(files, output)
    except OSError as error:
        _fail(f"{error.filename or output}: {error.strerror}; nothing was changed")
    for name in files:
        typer.echo(output / name)


@app.command()
def check(output: OutputOption = Path("monitoring"), config: ConfigOption = None) -> None:
    """Check the mixin, and that the compiled files are up to date.

    Every expression must parse and read only series and labels that the service exposes or a rule records; each
    recorded series must be read by something; promtool must agree, where it is on PATH. One line per finding.

    Exit code 0: nothing found; 1: findings, or the mixin can't be compiled.

    Example: kronos-mixin check
    """
    mixin = _evaluate(config)
    try:
        contract = load_contract()
    except ContractError as error:
        _fail(str(error))
    findings = find(mixin, contract, render(mixin), output)
    for finding in findings:
        typer.echo(finding)
    if findings:
        raise typer.Exit(1)
    rules = sum(len(group["rules"]) for group in mixin.rules)
    alerts = sum(len(group["rules"]) for group in mixin.alerts)
    typer.echo(f"{rules} recording rules, {alerts} alerts, {len(mixin.dashboards)} dashboards: nothing found")


def _evaluate(config: list[Path] | None) -> Mixin:
    merged: dict[str, object] = {}
    for path in config or []:
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            _fail(f"{path}: {error.strerror}")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            _fail(f"{path}: is not YAML: {error}")
        if not isinstance(data, dict):
            _fail(f"{path}: must hold an object laid over _config, such as `kronos: {{rateWindow: 1m}}`")
        merged = _merge(merged, data)
    try:
        return evaluate(mixin_path(), merged)
    except (CompileError, ContractError) as error:
        _fail(str(error))


def _merge(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _fail(message: str) -> NoReturn:
    typer.echo(f"kronos-mixin: {message}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Entry point of the installed command."""
    app(prog_name="kronos-mixin")


if __name__ == "__main__":
    main()
