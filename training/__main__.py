"""`nox -s train_demo`: train the demo checkpoint, write it into the service, and say how good it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER, load_checkpoint

from . import held_out
from .demo import Plan, train, write
from .picture import draw

_EVERY = 50
"""Steps between two lines."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s train_demo --", description=__doc__)
    parser.add_argument("--output", type=Path, help="folder to write to (default: into the service)")
    parser.add_argument("--draw", action="store_true", help="train nothing: draw the picture for the README")
    options = parser.parse_args(argv)
    if options.draw:
        draw(load_checkpoint(str(DEMO_MODEL), str(DEMO_TOKENIZER)))
        return 0
    output: Path | None = options.output
    model_folder = output / DEMO_MODEL.name if output else DEMO_MODEL
    tokenizer_folder = output / DEMO_TOKENIZER.name if output else DEMO_TOKENIZER
    console = Console(highlight=False, width=110)
    # Sums depend on how many threads share them.
    torch.set_num_threads(1)

    def report(what: str, step: int, loss: float) -> None:
        if step % _EVERY == 0:
            console.print(f"{time.process_time():5.0f} s CPU  {what:<9}  step {step:>4}  loss {loss:.3f}")

    tokenizer, model = train(Plan(), report)
    write(tokenizer, model, tokenizer_folder, model_folder)
    console.print(f"\nWrote {tokenizer_folder} and {model_folder}.")
    figures = held_out.measure(load_checkpoint(str(model_folder), str(tokenizer_folder)))
    console.print(f"On series that it was not trained on: {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
