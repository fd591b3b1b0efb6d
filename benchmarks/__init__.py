"""What the service costs and what it withstands: `nox -s bench_service` and `nox -s fuzz`.

Figures are printed with the machine's ratios beside them and never asserted. What is counted is asserted: a request
that no metric knows, a series too many or an answer that should not exist ends the program with exit code 1.
"""
