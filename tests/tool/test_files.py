"""Files are written all or none, seen by nobody before they are whole, and as readable as what they lie beside."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kronos_mixin import files
from kronos_mixin.files import Transaction, UndoError, locked, sweep


def test_a_step_of_undo_that_fails(tmp_path, monkeypatch):
    """The others are still undone, and what stays is told, with its old content."""
    for name in "abc":
        (tmp_path / name).write_text("old")
    put = files._put
    failing = False

    def fails(content, target):
        if failing and target.name == "b":
            raise OSError(30, "Read-only file system")
        put(content, target)

    monkeypatch.setattr(files, "_put", fails)
    with pytest.raises(UndoError) as caught, Transaction() as transaction:  # noqa: PT012
        for name in "abc":
            transaction.write(tmp_path / name, b"new")
        transaction.commit()
        failing = True
        raise KeyboardInterrupt
    assert [(tmp_path / name).read_text() for name in "abc"] == ["old", "new", "old"]
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path}/b: Read-only file system; its old content is in ")
    kept = Path(line.rpartition(" in ")[2])
    assert kept.read_text() == "old"
    assert isinstance(caught.value.__cause__, KeyboardInterrupt)
    # Not even the next run tidies that up.
    with Transaction() as transaction:
        transaction.write(tmp_path / "a", b"new")
        transaction.commit()
    assert kept.read_text() == "old"


def test_what_a_killed_run_left_goes_unless_it_is_in_use(tmp_path):
    left, used = tmp_path / ".kronos-mixin.00000000.tmp", tmp_path / ".kronos-mixin.00000001.tmp"
    for folder in (left, used):
        folder.mkdir()
        (folder / "x").touch()
    theirs = tmp_path / ".kronos-mixin.yml"
    theirs.touch()
    with locked(used):
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == [used, theirs]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [theirs]


def test_unfinished_files_stay_out_of_sight(tmp_path):
    """Neither before the commit nor after it does the folder that is looked at hold anything but the final file."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a").write_text("old")
    with Transaction(lambda place, names: place == folder and len(names) == 1) as transaction:
        transaction.write(folder / "a", b"new")
        assert [path.name for path in folder.iterdir()] == ["a"]
        transaction.commit()
        assert [path.name for path in folder.iterdir()] == ["a"]
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == [folder]


def test_new_files_are_as_readable_as_what_they_lie_beside(tmp_path):
    config = tmp_path / "etc" / "prometheus.yml"
    config.parent.mkdir()
    config.touch()
    config.parent.chmod(0o1757)
    config.chmod(0o740)
    if os.geteuid() == 0:
        os.chown(config, 1234, 2345)
        os.chown(config.parent, 1234, 0)
    old = os.umask(0o077)
    try:
        with Transaction() as transaction:
            transaction.write(config.parent / "below" / "a.yml", b"a", like=config)
            transaction.commit()
    finally:
        os.umask(old)
    folder, file = (config.parent / "below").stat(), (config.parent / "below" / "a.yml").stat()
    # Neither executable, nor open to everybody's writing.
    assert (stat.S_IMODE(folder.st_mode), stat.S_IMODE(file.st_mode)) == (0o755, 0o640)
    if os.geteuid() == 0:
        assert (folder.st_uid, folder.st_gid, file.st_uid, file.st_gid) == (1234, 0, 1234, 2345)


MOUNTED = """
import sys
from pathlib import Path
from kronos_mixin.files import Transaction
folder, fails = Path(sys.argv[1]), sys.argv[2] == "fails"
with Transaction() as transaction:
    transaction.write(folder / "prometheus.yml", b"new")
    transaction.write(folder / "rules.yml", b"new")
    transaction.commit()
    assert (folder / "prometheus.yml").read_bytes() == b"new"
    if fails:
        sys.exit(7)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("ending", ["works", "fails"])
def test_a_file_that_is_a_mount_of_its_own(tmp_path, ending):
    """As containers have it: it can't be replaced, and is written in place; undo puts the old content back."""
    real, mount = tmp_path / "real.yml", tmp_path / "mount"
    mount.mkdir()
    real.write_text("old and longer")
    (mount / "prometheus.yml").touch()
    script = f"mount --bind {real} {mount}/prometheus.yml && exec {sys.executable} -c '{MOUNTED}' {mount} {ending}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == (7 if ending == "fails" else 0), done.stderr
    assert real.read_text() == ("old and longer" if ending == "fails" else "new")
    left = {"prometheus.yml"} if ending == "fails" else {"prometheus.yml", "rules.yml"}
    assert {path.name for path in mount.iterdir()} == left
