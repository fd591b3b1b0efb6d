"""Judges the checkout that it runs in, as JSON: `python -m mutation.judge FILE`.

FILE holds what the mixin made before the mistake. With `before` it is written, with `ask` also all gates are asked
whether they are content.
"""

from __future__ import annotations

import gc
import json
import pickle
import resource
import sys
from pathlib import Path

from mutation.gates import SURVIVED, Outcome, judge, make, refusal


def _seconds() -> float:
    """CPU time of this process, and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    gc.disable()  # It lives for seconds, and would spend a tenth of them on this.
    file, root = Path(sys.argv[1]), Path.cwd()
    if sys.argv[2:] in (["before"], ["ask"]):
        file.write_bytes(pickle.dumps(make(root)[0]))
        outcome = refusal(root) if "ask" in sys.argv else Outcome(SURVIVED)
    else:
        outcome = judge(root, pickle.loads(file.read_bytes()))  # noqa: S301 - We wrote it.
    sys.stdout.write(json.dumps({"gate": outcome.gate, "said": outcome.said, "seconds": _seconds()}))
