from __future__ import annotations

import os
import threading

import pytest

from kronos_mixin.inputs import Inputs


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.libsonnet"
    path.write_text("{}")
    return path


def noted(*paths):
    inputs = Inputs()
    for path in paths:
        inputs.note(path)
    return inputs


def written(path):
    path.write_text("{a: 1}")


def renamed(path):
    """As editors save: beside it, with the size and the time of the old one."""
    new, old = path.with_suffix(".swp"), path.stat()
    new.write_text("{ }"[: old.st_size])
    os.utime(new, ns=(old.st_atime_ns, old.st_mtime_ns))
    new.replace(path)


def removed(path):
    path.unlink()


@pytest.mark.parametrize("change", [written, renamed, removed])
def test_a_change_is_seen_until_it_is_noted_anew(file, change):
    inputs = noted(file)
    assert not inputs.changed()
    change(file)
    assert list(inputs.changed()) == [file]
    assert not noted(file).changed()


def test_a_file_that_was_looked_for_in_vain(tmp_path):
    missing = tmp_path / "vendor" / "b.libsonnet"
    inputs = noted(missing)
    assert inputs.files() == []
    missing.parent.mkdir()
    assert not inputs.changed()
    missing.write_text("{}")
    assert list(inputs.changed()) == [missing]


def test_what_is_in_a_folder_does_not_count(tmp_path):
    inputs = noted(tmp_path)
    (tmp_path / "output.json").write_text("{}")
    assert not inputs.changed()
    assert inputs.files() == []


def test_a_link_to_a_folder_that_leads_elsewhere(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "lib.libsonnet").write_text(name)
    link = tmp_path / "vendor"
    link.symlink_to("a")
    inputs = noted(link / "lib.libsonnet")
    link.unlink()
    link.symlink_to("b")
    assert list(inputs.changed()) == [link / "lib.libsonnet"]


def test_the_first_time_counts(file):
    """What changes while it is being read is not lost."""
    inputs = noted(file)
    written(file)
    inputs.note(file)
    assert list(inputs.changed()) == [file]


def test_wait_returns_what_changed(file, tmp_path):
    other = tmp_path / "b.libsonnet"
    inputs = noted(file, other)
    waiting = threading.Thread(target=lambda: found.extend(inputs.wait()))
    found = []
    waiting.start()
    other.write_text("{}")
    waiting.join(60)
    assert found == [other]
