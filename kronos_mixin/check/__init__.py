"""The static gates: what is wrong with a mixin, before a Prometheus, a Grafana or somebody on call finds out.

`ours` holds the Kronos mixin against its contract, `others` tells of any mixin what can be told without one.
"""
