"""Which scrape jobs divide their targets."""

from __future__ import annotations

import pytest
import yaml

from kronos_mixin.merge.prometheusyml import to_data, tree
from kronos_mixin.shards import share

HASH = "{source_labels: [__address__], modulus: 3, target_label: __part, action: hashmod}"
OPERATORS = (
    "{source_labels: [__address__, __tmp_hash], regex: (.+);, target_label: __tmp_hash, action: replace}, "
    "{source_labels: [__tmp_hash], modulus: 2, target_label: __tmp_hash, action: hashmod}, "
    "{source_labels: [__tmp_hash, __tmp_disable_sharding], regex: '0;|.+;.+', action: keep}"
)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("", ""),
        (f"{HASH}, {{source_labels: [__part], regex: '1', action: keep}}", "1 of 3 parts"),
        (f"{HASH}, {{source_labels: [__part], regex: 1, action: drop}}", "2 of 3 parts"),
        (f"{HASH}, {{source_labels: [__part], regex: 0|1, action: Keep}}", "2 of 3 parts"),
        (OPERATORS, "1 of 2 parts"),
        # All of them; a label that stays; a choice by another label, or before there is a remainder.
        (f"{HASH}, {{source_labels: [__part], regex: '[0-2]', action: keep}}", ""),
        (f"{HASH}, {{source_labels: [__part], target_label: part}}", ""),
        (f"{HASH}, {{source_labels: [env], regex: prod, action: keep}}", ""),
        (f"{{source_labels: [__part], regex: '0', action: keep}}, {HASH}", ""),
        (f"{HASH}, {{source_labels: [__part], regex: '(', action: keep}}", ""),
    ],
)
def test_a_part_of_the_targets(rules, found):
    text = f"relabel_configs: [{rules}]"
    assert share(yaml.safe_load(text)) == found
    as_text = {key: to_data(value) for key, value in tree(text).items()}
    assert share(as_text) == found
