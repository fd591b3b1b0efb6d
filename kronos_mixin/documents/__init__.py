"""Generates the parts of documents that quote the mixin and its contract.

They stand between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. Words after the name say what to quote.
"""

from kronos_mixin.documents.generated import SECTIONS, DocumentError, documents, fill, stale, write

__all__ = ["SECTIONS", "DocumentError", "documents", "fill", "stale", "write"]
