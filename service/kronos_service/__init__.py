"""The instrumented Kronos forecasting service."""

import os

# By default the threads of PyTorch wait for each other at full speed. If there are more than free CPUs, each burns
# its time slice waiting for one that is not running, and two threads are several times slower than one. OpenMP reads
# this once, when PyTorch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
