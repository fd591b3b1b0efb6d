"""Generated sections of documents."""

from __future__ import annotations

import pytest

from kronos_mixin.documents import DocumentError, fill

PAGE = """\
# Tea

<!-- generated: cups -->
<!-- end of cups -->

By hand.

<!-- generated: defaults alerts.Tea.for objectives -->

old

<!-- end of defaults -->
"""


def test_a_section_is_made_anew_and_the_rest_stays():
    asked = []

    def defaults(words):
        asked.extend(words)
        return "| new |"

    filled = fill(PAGE, {"defaults": defaults})
    assert asked == ["alerts.Tea.for", "objectives"]
    assert filled == PAGE.replace("old", "| new |")
    assert fill(filled, {"defaults": defaults}) == filled


def test_an_empty_section_is_filled():
    assert "<!-- generated: cups -->\n\n7\n\n<!-- end of cups -->" in fill(PAGE, {"cups": lambda _: "7"})


@pytest.mark.parametrize("page", ["", PAGE.replace("end of cups", "end of mugs"), PAGE + PAGE])
def test_a_section_without_its_markers(page):
    with pytest.raises(DocumentError, match="there must be one <!-- generated: cups -->"):
        fill(page, {"cups": lambda _: "7"})
