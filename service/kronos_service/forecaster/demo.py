"""The demo checkpoint that comes with this package, to try the service without another one.

It was trained on made-up candles and knows nothing of markets. ``training/`` in the repository is how.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent / "checkpoints"

DEMO_MODEL = _FOLDER / "demo"
DEMO_TOKENIZER = _FOLDER / "demo-tokenizer"
