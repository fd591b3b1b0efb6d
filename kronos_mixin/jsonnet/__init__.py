"""Evaluates any mixin: Jsonnet in, plain Python data out.

`engines` are the implementations of Jsonnet, and `program` is what one of them is given. `reasons` and `trace` bring
what goes wrong in either into one wording.
"""

from kronos_mixin.jsonnet.evaluation import evaluate
from kronos_mixin.jsonnet.mixin import ENTRIES, CompileError, Mixin, entry, is_ours, name_of

__all__ = ["ENTRIES", "CompileError", "Mixin", "entry", "evaluate", "is_ours", "name_of"]
