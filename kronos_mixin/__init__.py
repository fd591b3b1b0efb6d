"""The Kronos mixin: one metric contract, and the tools that compile and check what is built on it.

`contract` reads metrics.json, `jsonnet` evaluates a mixin, `promql` reads its expressions, `compile` writes files.
The packages `check`, `merge`, `push`, `serve`, `verify` and `vendor` build on these, `drill` on `verify`, and `cli`
on all. Nothing imports the other way.
"""

__version__ = "0.1.0"
