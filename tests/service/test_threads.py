"""How the threads of the model wait for each other."""

import os
import subprocess
import sys

# With two threads, one waits after each product until there is the next.
IDLE = """
import {first}, time, torch
torch.set_num_threads(2)
a = torch.ones(400, 400)
spent = 0.0
for _ in range(5):
    a @ a
    before = time.process_time()
    time.sleep(0.2)
    spent += time.process_time() - before
print(spent)
"""


def seconds_burnt(first: str, **environment: str) -> float:
    """CPU seconds that a process with two threads burns in a second without work."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    run = subprocess.run(
        [sys.executable, "-c", IDLE.format(first=first)],
        env=known | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def test_waiting_threads_sleep():
    assert seconds_burnt("kronos_service") < 0.1


def test_an_operator_may_let_them_spin():
    assert seconds_burnt("kronos_service", OMP_WAIT_POLICY="ACTIVE") > 0.1
