"""Judges the checkout that it runs in, as JSON: `python -m mutation.judge FILE`.

FILE holds what the mixin made before the mistake. With `before` it is written, with `ask` also all gates are asked
whether they are content.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from mutation.gates import judge, make, refusal

if __name__ == "__main__":
    file, root = Path(sys.argv[1]), Path.cwd()
    if sys.argv[2:] in (["before"], ["ask"]):
        file.write_bytes(pickle.dumps(make(root)[0]))
        sys.stdout.write(refusal(root) if "ask" in sys.argv else "")
    else:
        outcome = judge(root, pickle.loads(file.read_bytes()))  # noqa: S301 - We wrote it.
        sys.stdout.write(json.dumps({"gate": outcome.gate, "said": outcome.said}))
