"""Proof that the bundle works, on real programs: Prometheus as Debian ships it, and the real service.

A plain folder of the checkout, never installed: import it with the root of the checkout on `sys.path`.
It needs Linux or another POSIX system.
"""
