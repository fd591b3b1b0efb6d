"""The community's formatter for Jsonnet, without a Go or C++ toolchain: the Python binding carries it.

`python -m proof.jsonnetfmt FILE...` rewrites files in place. The functions are exported by the binding's extension
module but are no part of its Python interface, so a later version may lose them: `format_jsonnet` then says so.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import _jsonnet

INDENT, MAX_BLANK_LINES = 2, 2


def format_jsonnet(name: str, text: str) -> str:
    """Return ``text`` as jsonnetfmt lays it out. Raises ValueError if it does not parse, named ``name``."""
    library = ctypes.CDLL(_jsonnet.__file__)
    try:
        library.jsonnet_fmt_snippet.restype = ctypes.c_void_p
    except AttributeError:
        raise RuntimeError(
            "this version of the jsonnet package has no formatter: pin the one in constraints.txt"
        ) from None
    library.jsonnet_make.restype = ctypes.c_void_p
    library.jsonnet_realloc.restype = ctypes.c_void_p
    vm = ctypes.c_void_p(library.jsonnet_make())
    library.jsonnet_fmt_indent(vm, INDENT)
    library.jsonnet_fmt_max_blank_lines(vm, MAX_BLANK_LINES)
    library.jsonnet_fmt_string(vm, ord("s"))
    library.jsonnet_fmt_comment(vm, ord("s"))
    failed = ctypes.c_int()
    result = library.jsonnet_fmt_snippet(vm, name.encode(), text.encode(), ctypes.byref(failed))
    output = ctypes.string_at(result).decode()
    library.jsonnet_realloc(vm, ctypes.c_void_p(result), ctypes.c_size_t(0))
    library.jsonnet_destroy(vm)
    if failed.value:
        raise ValueError(output.strip())
    return output


def main(names: list[str]) -> None:
    """Format the files of these names in place."""
    for name in names:
        path = Path(name)
        path.write_text(format_jsonnet(name, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
