"""``python -m kronos_service``, the only supported way to start the service."""

from __future__ import annotations

import sys

from kronos_service import signals


def main() -> None:
    """Run the command line, or say how to get the packages that it needs."""
    signals.take_over()
    try:
        from kronos_service.cli import app

        app(prog_name="python -m kronos_service")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "kronos_service", "kronos_mixin"}:
            raise
        sys.exit(
            f"kronos_service: the package {package} is missing, because only the tool is installed here; the service "
            "comes with pip install 'kronos-monitoring[service]', or in a checkout with pip install '.[service]'"
        )


if __name__ == "__main__":
    main()
