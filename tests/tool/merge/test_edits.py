"""What users change in our scrape job stays when merge runs again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from proof.servers import binaries, promtool

BOX = ("--mixin", Path(__file__).parents[1] / "fixtures" / "lamp-mixin")
SCRAPE = ("--job", "lamp", "--target", "a:1")


@pytest.fixture(params=["lines", "brackets"])
def merge(request, call, tmp_path):
    """Merges the lamp mixin into a configuration with a list over lines, or in brackets."""
    config = tmp_path / "prometheus.yml"
    listed = "scrape_configs: [{job_name: itself}]\n"
    config.write_text(listed if request.param == "brackets" else "scrape_configs:\n  - job_name: itself\n")

    def merge(*arguments, edit=None, **options):
        if edit:
            before = config.read_text()
            config.write_text(edit(before))
            assert config.read_text() != before
        return call("merge", config, *BOX, *arguments, "--yes", **options)

    merge.config, merge.brackets = config, request.param == "brackets"
    merge.job = lambda: yaml.safe_load(config.read_text())["scrape_configs"][1]
    merge(*SCRAPE)
    return merge


def added(merge, lines):
    """An edit that adds keys to our job, written as the job is."""
    if merge.brackets:
        flow = ", ".join(lines)
        return lambda text: text.replace("{job_name: lamp,", f"{{job_name: lamp, {flow},")
    block = "".join(f"    {line}  # ours\n" for line in lines)
    return lambda text: text.replace("- job_name: lamp\n", f"- job_name: lamp\n{block}    # why\n")


KEYS = [
    "scheme: https",
    "authorization: {credentials_file: t}",
    "basic_auth: {username: '007'}",
    "sample_limit: 010",
]


def test_keys_that_they_added(merge):
    edited = added(merge, KEYS[:2])(merge.config.read_text())
    assert "nothing to do" in merge(edit=lambda _: edited).stdout
    assert merge.config.read_text() == edited
    merge("--target", "b:1")
    assert merge.job() == {
        "job_name": "lamp",
        "scheme": "https",
        "authorization": {"credentials_file": "t"},
        "static_configs": [{"targets": ["b:1"]}],
    }
    if not merge.brackets:
        assert "    scheme: https  # ours\n" in merge.config.read_text()
        assert "    # why\n" in merge.config.read_text()
    (merge.config.parent / "t").touch()
    promtool.check_config(binaries.newest(), merge.config)


def test_scalars_stay_as_they_are_written(merge):
    merge("--target", "b:1", edit=added(merge, KEYS[2:]))
    assert "username: '007'" in merge.config.read_text()
    assert "sample_limit: 010" in merge.config.read_text()


def test_labels_and_targets(merge):
    old, new = (
        ("[a:1]", "[a:1, c:1], labels: {env: prod}")
        if merge.brackets
        else (
            "          - a:1\n",
            "          - a:1\n          - c:1\n        labels: {env: prod}\n",
        )
    )
    merge(edit=lambda text: text.replace(old, new))
    assert merge.job()["static_configs"] == [{"targets": ["a:1", "c:1"], "labels": {"env": "prod"}}]
    merge("--target", "b:1")
    assert merge.job()["static_configs"] == [{"targets": ["b:1"], "labels": {"env": "prod"}}]


def discovery(merge):
    if merge.brackets:
        return lambda text: text.replace("static_configs: [{targets: [a:1]}]", "file_sd_configs: [{files: [x.json]}]")
    return lambda text: text.replace(
        "static_configs:\n      - targets:\n          - a:1\n", "file_sd_configs:\n      - files: [x.json]\n"
    )


def test_discovery_instead_of_targets(merge):
    merge(edit=discovery(merge))
    assert merge.job() == {"job_name": "lamp", "file_sd_configs": [{"files": ["x.json"]}]}
    before = merge.config.read_text()
    done = merge("--target", "b:1", code=1)
    assert (
        'the scrape job lamp was edited: static_configs is gone in the file, and would be [{"targets": ["b:1"]}]'
        in (done.stderr)
    )
    assert merge.config.read_text() == before


@pytest.mark.parametrize("merge", ["lines"], indirect=True)
def test_a_name_that_they_changed(merge):
    done = merge(edit=lambda text: text.replace("job_name: lamp", "job_name: lights"), code=1)
    assert (
        "the scrape job lamp is called lights now, and the rules select by that name: say --job lights" in done.stderr
    )
    merge("--job", "lights")
    jobs = yaml.safe_load(merge.config.read_text())["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["itself", "lights"]
    assert "nothing to do" in merge().stdout


def test_a_job_that_they_removed(merge):
    def without(text):
        if merge.brackets:
            return text.replace(", {job_name: lamp, static_configs: [{targets: [a:1]}]}", "")
        start, end = text.index("  - job_name: lamp"), text.index("  # END kronos-mixin lamp (scrape")
        return text[:start] + text[end:]

    assert "no longer has the scrape job lamp between its marks" in merge(edit=without, code=1).stderr
    before = merge.config.read_text()
    merge("--target", "b:1")
    assert merge.job()["static_configs"] == [{"targets": ["b:1"]}]
    merge.config.write_text(before)
    merge("--rules-only")
    assert len(yaml.safe_load(merge.config.read_text())["scrape_configs"]) == 1


def test_the_same_key_changed_by_both(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    call("merge", config, "--target", "a:1", "--yes")
    config.write_text(config.read_text().replace("scrape_interval: 15s", "scrape_interval: 10s"))
    assert "nothing to do" in call("merge", config).stdout
    (tmp_path / "mine.yml").write_text("kronos: {scrape: {interval: 20s}}")
    done = call("merge", config, "--config", "mine.yml", code=1)
    assert 'edited: scrape_interval is "10s" in the file, and would be "20s" now' in done.stderr
    (tmp_path / "mine.yml").write_text("kronos: {scrape: {interval: 10s}}")
    call("merge", config, "--config", "mine.yml", "--yes")
    # From now on it is said in both places, and follows the configuration again.
    (tmp_path / "mine.yml").write_text("kronos: {scrape: {interval: 20s}}")
    call("merge", config, "--config", "mine.yml", "--yes")
    assert "scrape_interval: 20s" in config.read_text()
    # A mark without digests, from an older version: what is not ours stays.
    text = config.read_text()
    config.write_text(text[: text.index("; wrote")] + text[text.index("}}\n") + 2 :].replace("  - job", "  - job", 1))
    config.write_text(config.read_text().replace("honor_labels: true", "honor_labels: true\n    scheme: https"))
    call("merge", config, "--target", "b:1", "--yes")
    assert "scheme: https" in config.read_text()
    assert "- b:1" in config.read_text()


def test_what_is_written_in_unusual_ways(call, tmp_path):
    """Aliases, merge keys, texts over lines, and lists as deep as their key."""
    config = tmp_path / "prometheus.yml"
    config.write_text("scrape_configs:\n  - &first {job_name: a, tls_config: &tls {ca_file: x}}\n")
    call("merge", config, *BOX, *SCRAPE, "--yes")
    theirs = (
        "    tls_config: *tls\n    params:\n      match[]:\n      - |\n        text\n\n        more\n      # why\n"
        "    relabel_configs:\n    - target_label: x\n      replacement: >-\n        folded\n        text\n"
        "    # end\n"
    )
    config.write_text(config.read_text().replace("- job_name: lamp\n", f"- job_name: lamp\n{theirs}"))
    before = yaml.safe_load(config.read_text())["scrape_configs"][1]
    assert "nothing to do" in call("merge", config, *BOX).stdout
    call("merge", config, *BOX, "--target", "b:1", "--yes")
    assert yaml.safe_load(config.read_text())["scrape_configs"][1] == {
        **before,
        "static_configs": [{"targets": ["b:1"]}],
    }
    assert theirs in config.read_text()
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == "scrape_configs:\n  - &first {job_name: a, tls_config: &tls {ca_file: x}}\n"


def test_aliases_in_brackets(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    text = (
        "global: {external_labels: &a {x: y}}\nscrape_configs: [{job_name: a, params: {b: [c]}}, &d {job_name: d}]\n"
    )
    config.write_text(text)
    call("merge", config, *BOX, *SCRAPE, "--yes")
    edited = config.read_text().replace("{job_name: lamp,", "{job_name: lamp, params: *a,")
    config.write_text(edited)
    call("merge", config, *BOX, "--target", "b:1", "--yes")
    assert "{job_name: lamp, params: *a, static_configs: [{targets: ['b:1']}]}" in config.read_text().replace(
        '"', "'"
    ).replace("[b:1]", "['b:1']")
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == text
