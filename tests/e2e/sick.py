"""The service, with a model that fails or hangs for as long as a file says so: `python sick.py FILE`.

The file holds `fail` or `hang`. Nothing in a healthy PyTorch can be asked to do either.
"""

import sys
import time
from pathlib import Path
from typing import Any

from kronos_service.__main__ import main
from kronos_service.forecaster import scheduler

orders = Path(sys.argv.pop(1))
encode = scheduler.encode


def ill(*args: Any) -> Any:
    while orders.exists():
        if orders.read_text() == "fail":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        time.sleep(0.05)
    return encode(*args)


scheduler.encode = ill

if __name__ == "__main__":
    main()
