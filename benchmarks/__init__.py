"""Benchmarks and fuzzing: `nox -s bench_rules`, `nox -s bench_service` and `nox -s fuzz`.

Times depend on the machine: they are printed and never asserted. Counts are asserted: an uncounted request, too many
series or an invalid answer end the program with exit code 1.
"""
