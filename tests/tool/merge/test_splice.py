"""Lines are added to a prometheus.yml and removed again; nothing else changes."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kronos_mixin.merge import prometheusyml
from kronos_mixin.merge.blocks import blocks, entries_of
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.splice import merge, unmerge

JOB = {
    "job_name": "kronos-api",
    "metrics_path": "/v1/metrics",
    "static_configs": [{"targets": ["a:8000", "b:8000"], "labels": {"env": "yes"}}],
}
RULES = ["kronos-mixin/kronos-rules.yml", "kronos-mixin/kronos-alerts.yml"]
OURS = {"rule_files": RULES, "scrape_configs": [JOB]}
NODE = {"rule_files": ["kronos-mixin/node-rules.yml"]}

DEFAULT = """\
# my global config
global:
  scrape_interval: 15s # Set the scrape interval to every 15 seconds.

# Load rules once and periodically evaluate them.
rule_files:
  # - "first_rules.yml"
  # - "second_rules.yml"

# A scrape configuration containing exactly one endpoint to scrape:
scrape_configs:
  # The job name is added as a label.
  - job_name: "prometheus"

    static_configs:
      - targets: ["localhost:9090"]
      # - targets: ["localhost:9091"]

  # - job_name: "off"

# Alerting specifies settings.
alerting: {}
"""

WRITTEN = {
    "as Prometheus ships it": DEFAULT,
    "nothing": "",
    "a comment without a line end": "# nothing yet",
    "no line end": "global: {}\nscrape_configs:\n  - job_name: a",
    "windows": DEFAULT.replace("\n", "\r\n"),
    "a byte order mark alone": "\ufeff",
    "a byte order mark": "\ufeffscrape_configs:\n- job_name: a\n",
    "dashes below the key": "rule_files:\n- '*.yml'\n# tail\nscrape_configs:\n- job_name: a\n",
    "deep dashes": "scrape_configs:\n    -   job_name: a\n        static_configs:\n            - targets: [x]\n",
    "a dash alone": "scrape_configs:\n  -\n    job_name: a\n",
    "everything indented": "  global: {}\n  scrape_configs:\n  - job_name: a\n",
    "empty lists": "rule_files: []   # none\nscrape_configs: [ ]\nglobal: {}\n",
    "nothing said": "rule_files: ~\nscrape_configs: null # later\n",
    "keys without values": "rule_files:\nscrape_configs:\n\n\nglobal: {}\n",
    "a document with marks": "%YAML 1.1\n---\nscrape_configs:\n  - job_name: a\n...\n",
    "anchors": "scrape_configs: &all\n  - &a {job_name: a}\n  - <<: *a\n    job_name: b\n",
    "an alias at the end": "x-a: &a {job_name: a}\nscrape_configs:\n  - *a\nglobal: {}\n",
    "quoted keys": "\"rule_files\":\n  - a.yml\n'scrape_configs':\n  - job_name: a\n",
    "flow inside": "scrape_configs:\n  - {job_name: a, static_configs: [{targets: [\n    x]}]}\n",
    "a text at the end": "scrape_configs:\n  - job_name: a\n    x: |\n      text\n\n  # mine\nglobal: {}\n",
    "a text that keeps its blanks": "scrape_configs:\n  - job_name: |+\n      text\n\n\nglobal: {}\n",
    "a folded text": "scrape_configs:\n  - job_name: >-\n      a\n      b\n\n\n# global\nglobal: {}\n",
    "a key without a value at the end": "scrape_configs:\n  - job_name: a\n    params:\n",
    "tabs where they may be": "scrape_configs:\t# tab\n  - job_name:\ta\t# tab\nglobal: {}\n",
    "other languages": "# Überwachung 監視 🔥\nscrape_configs:\n  - job_name: 'naïve 🔥'\n    labels: {x: é}\n",
    "in brackets": "rule_files: ['rules/*.yml']   # all\nscrape_configs: [{job_name: a}, {job_name: b}]\n",
    "in brackets over lines": "scrape_configs: [\n  {job_name: a},  # one\n  {job_name: b}, # two\n  ]\n",
    "in brackets without items": "rule_files: [\n]\nscrape_configs:\n  [ ]\n",
    "in brackets of their own line": "rule_files:\n  [a.yml, b.yml,]",
    "brackets in windows": "rule_files: [a.yml]\r\nscrape_configs: [{job_name: a},\r\n {job_name: b}]\r\n",
    "brackets behind a mark": "\ufeffrule_files: [a.yml]\n",
    "odd blanks": "scrape_configs:   \n\n  - job_name: a   \n   \n\n",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_merge_and_unmerge(name):
    text = WRITTEN[name]
    merged = merge(text, "kronos", OURS)
    old, new = (yaml.load(t, prometheusyml.LOADER) or {} for t in (text, merged))  # noqa: S506
    assert new == {
        **old,
        "rule_files": (old.get("rule_files") or []) + RULES,
        "scrape_configs": (old.get("scrape_configs") or []) + [JOB],
    }
    # Nothing of theirs is gone or in another place.
    characters = iter(merged)
    assert all(char in characters for char in text)
    assert merge(merged, "kronos", OURS) == merged
    assert unmerge(merged, "kronos") == text
    assert ("\r\n" in text) == ("\r\n" in merged)
    if "\r\n" in text:
        assert "\n" not in merged.replace("\r\n", "")


@pytest.mark.parametrize("name", WRITTEN)
def test_two_mixins_in_one_file(name):
    text = WRITTEN[name]
    merged = both(name)
    assert entries_of(merged, "kronos")["rule_files"] == RULES
    assert unmerge(merged, "node") == merge(text, "kronos", OURS)
    assert unmerge(unmerge(merged, "kronos"), "node") == text
    assert unmerge(merged, "other") == merged


def test_added_lines_follow_the_style_of_the_file():
    merged = merge(DEFAULT, "kronos", OURS)
    assert '  # - "second_rules.yml"\n  # BEGIN kronos-mixin kronos (rule_files)' in merged
    assert '  # - job_name: "off"\n  # BEGIN kronos-mixin kronos (scrape_configs: ["kronos-api"])' in merged
    assert "\n  - job_name: kronos-api\n    metrics_path: /v1/metrics\n" in merged
    assert "      - targets:\n          - a:8000\n" in merged
    assert "env: 'yes'\n" in merged  # Or it would be a truth value.
    flat = merge("scrape_configs:\n- job_name: a\n", "kronos", OURS)
    assert "\n- job_name: kronos-api\n" in flat
    assert "\n  static_configs:\n  - targets:\n    - a:8000\n" in flat
    assert "rule_files:  # added by kronos-mixin\n# BEGIN" in flat


def test_an_older_block_is_replaced_in_place():
    older = merge(DEFAULT, "kronos", {"rule_files": ["old/kronos-rules.yml"], "scrape_configs": [JOB]})
    older = merge(older, "node", NODE)
    other = {**JOB, "job_name": "forecasts"}
    newer = merge(older, "kronos", {"rule_files": RULES, "scrape_configs": [other]})
    assert entries_of(newer, "kronos") == {"rule_files": RULES, "scrape_configs": [other]}
    assert [(block.name, block.key) for block in blocks(newer)] == [
        (block.name, block.key) for block in blocks(older)
    ]
    assert unmerge(unmerge(newer, "kronos"), "node") == DEFAULT
    without = merge(newer, "kronos", {"rule_files": RULES})
    assert entries_of(without, "kronos") == {"rule_files": RULES}


def test_later_edits_by_users_stay():
    merged = merge("global: {}\n", "kronos", OURS)
    edited = merged.replace(
        "  # END kronos-mixin kronos (scrape_configs)\n",
        # One job inside our block, one after it.
        "  - job_name: mine\n    # why\n    scheme: https\n"
        "  # END kronos-mixin kronos (scrape_configs)\n  - job_name: too\n",
    ).replace("a:8000", "c:8000")
    left = unmerge(edited, "kronos")
    assert left == (
        "global: {}\nscrape_configs:\n  - job_name: mine\n    # why\n    scheme: https\n  - job_name: too\n"
    )
    again = merge(edited, "kronos", OURS)
    assert "a:8000" in again
    assert [job["job_name"] for job in yaml.safe_load(again)["scrape_configs"]] == ["kronos-api", "mine", "too"]


def both(name):
    return merge(merge(WRITTEN[name], "kronos", OURS), "node", NODE)


def check_formatted(name, formatted):
    """Nothing of ours stays after unmerge, and all of theirs does."""
    assert entries_of(formatted, "kronos") == entries_of(both(name), "kronos")
    left = unmerge(unmerge(formatted, "node"), "kronos")
    assert "kronos" not in left
    assert _without_empty(left) == _without_empty(WRITTEN[name])


def _without_empty(text):
    data = yaml.load(text.removeprefix("\ufeff"), prometheusyml.LOADER) or {}  # noqa: S506
    return {key: value for key, value in data.items() if value}


# Prettier writes one blank before a comment, and leaves the rest of ours as it is.
FORMATTERS = {
    "one blank before comments": lambda text: re.sub(r" +#", " #", text),
    "trimmed": lambda text: re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE),
    "unix": lambda text: text.replace("\r\n", "\n"),
    "windows": lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_formatter_in_between(name, formatter):
    check_formatted(name, FORMATTERS[formatter](both(name)))


def test_yamlfmt_in_between(tmp_path):
    paths = {name: tmp_path / f"{number}.yaml" for number, name in enumerate(WRITTEN)}
    for name, path in paths.items():
        path.write_bytes(both(name).encode())
    subprocess.run(["yamlfmt", *paths.values()], check=True)
    for name, path in paths.items():
        check_formatted(name, path.read_bytes().decode())


def test_brackets_that_a_formatter_has_laid_out():
    merged = merge("rule_files: [a.yml,\n  b.yml] # two\n", "kronos", {"rule_files": RULES})
    mark, _, rest = merged.partition("\n")
    rest = rest.replace(", ", ",\n    ").replace(" b.yml,", " b.yml, # why").replace("] #", ",\n  ] #")
    laid_out = f"{mark}\n{rest}"
    assert unmerge(laid_out, "kronos") == "rule_files: [a.yml,\n  b.yml, # why\n  ] # two\n"
    assert entries_of(merge(laid_out, "kronos", {"rule_files": ["c/kronos-rules.yml"]}), "kronos") == {
        "rule_files": ["c/kronos-rules.yml"]
    }
    mine = merged.replace("kronos-mixin/kronos-alerts.yml] ", "kronos-mixin/kronos-alerts.yml, mine.yml] ")
    assert unmerge(mine, "kronos") == "rule_files: [a.yml,\n  b.yml, mine.yml] # two\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x: &a\n- job_name: b\nscrape_configs: *a\n", "line 3: scrape_configs is an alias"),
        ("scrape_configs: &a\n- job_name: b\ny: *a\n", "without changing y, too"),
        ("x: &a {scrape_configs: []}\n<<: *a\n", "merge key"),
        ("scrape_configs: &a []\ny: *a\n", "without changing y, too"),
        ("scrape_configs: yes\n", "scrape_configs is not a list"),
        ("scrape_configs: {a: b}\n", "scrape_configs is not a list"),
        ("scrape_configs: !!seq\n", "not a list"),
        ("{scrape_configs: []}\n", "line 1: is written in flow style"),
        ("- a\n", "its top level is not a mapping"),
        ("text\n", "its top level is not a mapping"),
        ("a: 1\n---\nb: 2\n", "line 2: begins a second YAML document"),
        ("a: 1\na: 2\n", "line 2: has a twice"),
        ("global:\n  a: 1\n  a: 2\n", "line 3: has a twice"),
        ("? [a]\n: b\n", "not plain text"),
        ("a: [\n", "is not YAML"),
        ("scrape_configs:\n\t- job_name: a\n", "line 2: is not YAML"),
        ("a: \x01\n", "is not YAML"),
        ("a: &a [*a]\n", "alias that contains itself"),
        ("? scrape_configs\n", "can't be edited as it is written"),
        # Adding the missing newline would change the text.
        ("scrape_configs:\n- job_name: a\n  x: |\n    text", "without changing scrape_configs, too"),
        ("# END kronos-mixin kronos (rule_files)\n", "line 1: an END mark of kronos-mixin without its BEGIN"),
        ("# BEGIN kronos-mixin kronos (rule_files)\n", "line 1: a BEGIN mark of kronos-mixin without its END"),
    ],
)
def test_refusals(text, reason):
    with pytest.raises(MergeError) as caught:
        merge(text, "kronos", OURS)
    assert reason in str(caught.value)


# Configurations as people write them: every value in some style, comments and blank lines anywhere between.
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=8)
margins = st.sampled_from(["", "", "\n", "# note\n", "\n# note\n\n", "    # deep\n", "  # - job_name: off\n"])


@st.composite
def scalars(draw):
    text = draw(names)
    return draw(st.sampled_from([yaml.safe_dump(text, allow_unicode=True).split("\n")[0], '"x"', "'y'", "7", "null"]))


@st.composite
def jobs(draw, dash):
    margin = " " * dash
    lines = [f"{margin}- job_name: {draw(scalars())}"]
    if draw(st.booleans()):
        lines.append(f"{margin}  honor_labels: true   # note")
    body = draw(st.sampled_from(["", "flow", "block", "text", "kept", "empty"]))
    if body == "flow":
        lines.append(f"{margin}  static_configs: [{{targets: [a, b]}}]")
    elif body == "block":
        lines += [f"{margin}  static_configs:", f"{margin}  - targets:", f"{margin}    - a:1", f"{margin}    # - b:1"]
    elif body in {"text", "kept"}:
        lines += [f"{margin}  text: |{'+' if body == 'kept' else ''}", f"{margin}    one", "", f"{margin}    two", ""]
    elif body == "empty":
        lines.append(f"{margin}  params:")
    return "\n".join(lines) + "\n"


@st.composite
def lists(draw, key, item):
    empty = draw(st.sampled_from(["", "", " []", " ~", "  # none"]))
    count = draw(st.integers(0, 3))
    if count == 0:
        return f"{key}:{empty}\n"
    if draw(st.booleans()):
        item = "{{job_name: {}}}" if key == "scrape_configs" else "{}"
        items = [item.format(draw(st.sampled_from(["a", "'b'", '"#"']))) for _ in range(count)]
        gap, end = (
            draw(st.sampled_from([", ", ",", ",\n  ", " ,  # note\n  "])),
            draw(st.sampled_from(["", ",", " ", "\n  "])),
        )
        return f"{key}: [{gap.join(items)}{end}]{draw(st.sampled_from(['', '  # note']))}\n"
    dash = draw(st.sampled_from([0, 2, 4]))
    parts = [draw(margins) + draw(item(dash)) for _ in range(count)]
    return f"{key}:{draw(st.sampled_from(['', '  # note', ' &anchor']))}\n" + "".join(parts)


@st.composite
def configurations(draw):
    rules = lists("rule_files", lambda dash: scalars().map(lambda text: f"{' ' * dash}- {text}\n"))
    parts = [
        st.just("global:\n  scrape_interval: 15s\n"),
        st.just("alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [x]\n"),
        st.just("remote_write: []\n"),
        rules,
        lists("scrape_configs", jobs),
    ]
    chosen = [part for part in draw(st.permutations(parts)) if draw(st.booleans())]
    text = draw(st.sampled_from(["", "", "# top\n", "---\n", "\ufeff"])) + draw(margins)
    text += "".join(draw(part) + draw(margins) for part in chosen) + draw(st.sampled_from(["", "", "...\n"]))
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@settings(max_examples=60, deadline=None)
@given(text=configurations())
def test_unmerge_undoes_merge(loader, text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prometheusyml, "LOADER", loader)
        try:
            merged = merge(text, "kronos", OURS)
        except MergeError as error:
            # Only where adding a line end would change a text, and where the document is none.
            assert "too" in str(error) or "is not YAML" in str(error) or "not a mapping" in str(error)  # noqa: PT017
            assume(False)
        assert merge(merged, "kronos", OURS) == merged
        assert unmerge(merged, "kronos") == text
        assert unmerge(unmerge(merge(merged, "node", NODE), "kronos"), "node") == text
        held = yaml.load(merged.removeprefix("\ufeff"), yaml.SafeLoader)
        assert held["rule_files"][-2:] == RULES
        assert JOB in held["scrape_configs"]
