"""Installs packages from real git repositories, as jsonnet-bundler would."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kronos_mixin.vendor import install as installing
from kronos_mixin.vendor.tree import checksum
from tests.tool.vendor.conftest import Remotes, git, jsonnetfile, local, source


def sha(*contents):
    return base64.b64encode(hashlib.sha256("".join(contents).encode()).digest()).decode()


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """A mixin that needs two libraries, one of which needs the other."""
    remotes = Remotes(tmp_path_factory.mktemp("acme"))
    remotes.commit("github.com/acme/base", {"base.libsonnet": "base 1"}, tag="v1")
    remotes.commit("github.com/acme/base", {"base.libsonnet": "base 2"}, tag="v2")
    needs = jsonnetfile(source("github.com/acme/base", "v1"))
    remotes.commit("github.com/acme/boards", {"boards/b.libsonnet": "boards", "boards/jsonnetfile.json": needs})
    needs = jsonnetfile(source("github.com/acme/boards/boards", "main"), source("github.com/acme/base", "v2"))
    remotes.commit("github.com/acme/mixin", {"m.libsonnet": "mixin", "jsonnetfile.json": needs}, tag="v1.0")
    return remotes.folder


@pytest.fixture
def install(call, project, remotes, acme):
    """Calls `install` or `update` in the project."""
    shutil.copytree(acme, remotes.folder)

    def install(*arguments, command="install", code=0):
        return call(command, *arguments, "--folder", project, code=code)

    return install


def test_a_package_with_all_that_it_needs(install, remotes, tree, lock, project):
    said = install("github.com/acme/mixin@v1.0").stdout
    assert "3 packages in vendor/, 3 of them new or changed" in said
    files = {path: text for path, text in tree().items() if not path.endswith("jsonnetfile.json")}
    assert files == {
        "base": "-> github.com/acme/base",
        "boards": "-> github.com/acme/boards/boards",
        "mixin": "-> github.com/acme/mixin",
        "github.com/acme/base/base.libsonnet": "base 2",
        "github.com/acme/boards/boards/b.libsonnet": "boards",
        "github.com/acme/mixin/m.libsonnet": "mixin",
    }
    assert (project / "jsonnetfile.json").read_text() == (
        json.dumps(json.loads(jsonnetfile(source("github.com/acme/mixin", "v1.0"))), indent=2) + "\n"
    )
    assert list(lock()) == ["acme/base", "acme/boards/boards", "acme/mixin"]
    assert lock()["acme/base"]["sum"] == sha("base 2")
    assert lock()["acme/base"]["version"] == git(
        remotes.folder / "github.com/acme/base.git", "rev-parse", "v2^{commit}"
    )
    assert json.loads((project / "jsonnetfile.lock.json").read_text())["legacyImports"] is False


def test_who_comes_first_decides_and_that_is_told(install, tree):
    said = install("github.com/acme/mixin@v1.0").stderr
    assert (
        "github.com/acme/base: github.com/acme/boards/boards wants v1, but github.com/acme/mixin comes first" in said
    )
    assert tree()["github.com/acme/base/base.libsonnet"] == "base 2"
    said = install("github.com/acme/base@v1").stderr
    assert "github.com/acme/mixin wants v2, but jsonnetfile.json comes first and wants v1: that is used" in said
    assert tree()["github.com/acme/base/base.libsonnet"] == "base 1"


def test_locked_packages_stay_until_an_update(install, remotes, tree, lock, project):
    install("github.com/acme/boards/boards@main", "github.com/acme/base@v2")
    before = lock()
    remotes.commit("github.com/acme/boards", {"boards/b.libsonnet": "newer"})
    stamp = (project / "jsonnetfile.lock.json").stat().st_mtime_ns
    assert "0 of them new" in install().stdout
    assert lock() == before
    shutil.rmtree(project / "vendor")
    assert "2 packages in vendor/, 2 of them new" in install().stdout
    assert tree()["github.com/acme/boards/boards/b.libsonnet"] == "boards"
    assert (project / "jsonnetfile.lock.json").stat().st_mtime_ns == stamp
    install("github.com/acme/base", command="update")
    assert lock() == before
    install("github.com/acme/boards/boards", command="update")
    assert tree()["github.com/acme/boards/boards/b.libsonnet"] == "newer"
    remotes.commit("github.com/acme/boards", {"boards/b.libsonnet": "newest"})
    install(command="update")
    assert tree()["github.com/acme/boards/boards/b.libsonnet"] == "newest"


def test_the_lock_of_a_nested_package_means_nothing(install, remotes, lock):
    old = git(remotes.folder / "github.com/acme/base.git", "rev-parse", "v1^{commit}")
    entry = source("github.com/acme/base", old, sum=sha("base 1"))
    needs = [source("github.com/acme/base", "main")]
    remotes.commit("github.com/acme/locked", {"jsonnetfile.lock.json": jsonnetfile(entry)}, needs=needs)
    install("github.com/acme/locked")
    assert lock()["acme/base"]["sum"] == sha("base 2")


def test_single_and_a_name_of_its_own(install, tree, project):
    install("github.com/acme/mixin@v1.0", "--single", "--legacy-name", "ours")
    place = "github.com/acme/mixin"
    assert list(tree()) == [f"{place}/jsonnetfile.json", f"{place}/m.libsonnet", "ours"]
    (entry,) = json.loads((project / "jsonnetfile.json").read_text())["dependencies"]
    assert (entry["single"], entry["name"]) == (True, "ours")


def test_packages_that_need_each_other(install, remotes, lock):
    remotes.commit("github.com/acme/a", {"a": "a"}, needs=[source("github.com/acme/b", "main")])
    remotes.commit("github.com/acme/b", {"b": "b"}, needs=[source("github.com/acme/a", "main")])
    install("github.com/acme/a@main")
    assert list(lock()) == ["acme/a", "acme/b"]


def test_a_version_is_a_tag_a_branch_a_commit_or_the_default_branch(install, remotes, lock, project):
    first = remotes.commit("git.example.com/acme/lib", {"x": "1"})
    remotes.commit("git.example.com/acme/lib", {"x": "2"}, tag="release/1@2")
    git(remotes.folder / "git.example.com/acme/lib.git", "checkout", "--quiet", "-b", "next")
    remotes.commit("git.example.com/acme/lib", {"x": "3"})
    git(remotes.folder / "git.example.com/acme/lib.git", "checkout", "--quiet", "main")
    remotes.commit("git.example.com/acme/lib", {"x": "4"})
    for version, content in ((first, "1"), (first[:9], "1"), ("release/1@2", "2"), ("next", "3"), ("main", "4")):
        install(f"https://git.example.com/acme/lib@{version}")
        assert lock()["acme/lib"]["sum"] == sha(content), version
    (project / "jsonnetfile.json").unlink()
    install("https://git.example.com/acme/lib")
    (entry,) = json.loads((project / "jsonnetfile.json").read_text())["dependencies"]
    assert entry["version"] == "main"  # jb would say master, which is not there.


def test_offline_from_the_cache(install, remotes, tree, project):
    install("github.com/acme/mixin@v1.0")
    before = tree()
    shutil.rmtree(project / "vendor")
    remotes.folder.rename(remotes.folder.with_name("gone"))
    install()
    assert tree() == before
    # Without a lock, too, but it is told what may be old.
    (project / "jsonnetfile.lock.json").unlink()
    shutil.rmtree(project / "vendor")
    assert "can't reach https://github.com/acme/boards.git: took main as it was fetched last" in install().stderr
    assert tree() == before
    # An update is to ask.
    assert "can't reach https://github.com/acme/mixin.git" in install(command="update", code=3).stderr
    assert tree() == before
    assert "can't reach" in install("github.com/acme/unknown@v1", code=3).stderr


def test_a_sum_that_differs_is_refused(install, tree, project):
    install("github.com/acme/base@v1")
    before = tree()
    file = project / "jsonnetfile.lock.json"
    tampered = file.read_text().replace(sha("base 1"), sha("base 2"))
    file.write_text(tampered)
    said = install(code=1).stderr
    assert f"has the sum {sha('base 1')}, but jsonnetfile.lock.json has {sha('base 2')}" in said
    assert (tree(), file.read_text()) == (before, tampered)
    # An older lock has none.
    data = json.loads(tampered)
    del data["dependencies"][0]["sum"]
    file.write_text(json.dumps(data))
    install()
    assert json.loads(file.read_text())["dependencies"][0]["sum"] == sha("base 1")


def test_modes_and_links_inside_a_package(install, remotes, project):
    place = "github.com/acme/lib"
    files = {"run.sh": "#!", "sub/x": "x", "link": Path("sub/x"), "folder": Path("sub"), "z": "unseen"}
    remotes.commit(place, files)
    (remotes.folder / f"{place}.git/run.sh").chmod(0o755)
    remotes.commit(place, {}, tag="v1")
    install(f"{place}@v1")
    lib = project / "vendor" / place
    assert os.access(lib / "run.sh", os.X_OK)
    assert not os.access(lib / "z", os.X_OK)
    assert (lib / "link").readlink() == Path("sub/x")
    # jb stops at the link to a folder, which is the first in order. One to a device would never end.
    assert checksum(lib) == sha("")
    (lib / "z").write_text("edited")
    (project / "jsonnetfile.lock.json").unlink()
    assert f"vendor/{place}: not as it was fetched" in install(code=1).stderr


@pytest.mark.parametrize(("host", "content"), [("github.com", "x"), ("git.example.com", "docsx")])
def test_what_is_not_to_be_exported_is_as_with_jb(install, remotes, lock, host, content):
    """jb takes GitHub's archives, and checks others out."""
    remotes.commit(f"{host}/acme/lib", {".gitattributes": "docs export-ignore\n", "lib/docs": "docs", "lib/x": "x"})
    install(f"https://{host}/acme/lib/lib@main")
    assert lock()["acme/lib/lib"]["sum"] == sha(content)


def test_a_package_within_another(install, remotes, tree, project):
    remotes.commit("github.com/acme/boards", {"boards/b.libsonnet": "boards 2", "top": "top"}, tag="two")
    old = git(remotes.folder / "github.com/acme/boards.git", "rev-parse", "two~1")
    install("github.com/acme/boards@two", f"github.com/acme/boards/boards@{old}", "github.com/acme/base@v1")
    assert tree()["github.com/acme/boards/top"] == "top"
    assert tree()["github.com/acme/boards/boards/b.libsonnet"] == "boards"
    before = tree()
    install()
    assert tree() == before
    shutil.rmtree(project / "vendor/github.com/acme/boards")
    install()
    assert tree() == before


def test_local_folders(install, tree, project):
    (project / "lib/inner").mkdir(parents=True)
    (project / "lib/x.libsonnet").write_text("x")
    (project / "lib/jsonnetfile.json").write_text(jsonnetfile(local("inner"), source("github.com/acme/base", "v1")))
    install("./lib")
    assert tree() == {
        "base": "-> github.com/acme/base",
        "github.com/acme/base/base.libsonnet": "base 1",
        "inner": "-> ../lib/inner",
        "lib": "-> ../lib",
    }
    declared = json.loads((project / "jsonnetfile.json").read_text())
    assert declared["dependencies"] == [local("lib")]
    locked = json.loads((project / "jsonnetfile.lock.json").read_text())["dependencies"]
    assert [local("inner"), local("lib")] == [locked[1], locked[2]]
    # What it no longer needs goes; the folder itself is left alone.
    (project / "jsonnetfile.json").write_text(jsonnetfile(source("github.com/acme/base", "v1")))
    install()
    assert list(tree()) == ["base", "github.com/acme/base/base.libsonnet"]
    assert (project / "lib/x.libsonnet").read_text() == "x"
    (project / "jsonnetfile.json").write_text(jsonnetfile(local("../nowhere")))
    assert "nowhere: is not a folder" in install(code=1).stderr


def test_a_local_folder_inside_a_package(install, remotes, tree):
    remotes.commit("github.com/acme/lib", {"inner/x": "x"}, needs=[local("./inner")])
    install("github.com/acme/lib@main")
    assert tree()["inner"] == "-> github.com/acme/lib/inner"
    assert "0 of them new" in install().stdout


def test_short_names_are_given_once(install, remotes, tree, project):
    for organisation in ("a", "b"):
        remotes.commit(f"github.com/{organisation}/mixin", {"x": organisation})
    said = install("github.com/a/mixin@main", "github.com/b/mixin@main").stderr
    assert "vendor/mixin: leads to github.com/a/mixin, so there is no link to github.com/b/mixin" in said
    (project / "jsonnetfile.json").write_text((project / "jsonnetfile.json").read_text().replace("true", "false"))
    install()
    assert [path for path, text in tree().items() if text.startswith("->")] == []


def test_what_nothing_needs_is_removed_unless_it_is_yours(install, tree, project):
    install("github.com/acme/mixin@v1.0")
    vendor = project / "vendor"
    (vendor / "mine").mkdir()
    (vendor / "mine/notes.txt").write_text("notes")
    (vendor / "github.com/acme/own").mkdir()
    (vendor / "github.com/acme/own/x").write_text("x")
    (vendor / "README").write_text("stays, as with jb")
    (vendor / "elsewhere").symlink_to("../..")
    (project / "jsonnetfile.json").write_text(jsonnetfile(source("github.com/acme/base", "v1")))
    done = install()
    assert "vendor/github.com/acme/mixin: removed, no package needs it" in done.stdout
    for path in ("vendor/mine", "vendor/github.com/acme/own"):
        assert f"{path}: belongs to no package, and is committed nowhere: kept; --force removes it" in done.stderr
    assert tree() == {
        "README": "stays, as with jb",
        "base": "-> github.com/acme/base",
        "elsewhere": "-> ../..",
        "github.com/acme/base/base.libsonnet": "base 2",
        "github.com/acme/own/x": "x",
        "mine/notes.txt": "notes",
    }
    # What is committed can't get lost.
    git(project, "init", "--quiet")
    git(project, "add", "vendor/mine")
    git(project, "commit", "--quiet", "--message", "x")
    install()
    assert "mine/notes.txt" not in tree()
    assert "github.com/acme/own/x" in tree()
    install("--force")
    assert sorted(tree()) == ["README", "base", "github.com/acme/base/base.libsonnet"]


@pytest.mark.parametrize("mine", ["folder", "link"])
def test_what_is_yours_keeps_its_name(install, project, tree, mine):
    """A short name of a package may be that of something else in vendor/."""
    (project / "vendor").mkdir()
    if mine == "folder":
        (project / "vendor/base").mkdir()
        (project / "vendor/base/mine").write_text("mine")
    else:
        (project / "vendor/base").symlink_to("../my-base")
    before = tree()
    for _ in range(2):
        said = install("github.com/acme/base@v1").stderr
        assert "vendor/base: is there already, so it is no link to github.com/acme/base" in said
        assert tree() == before | {"github.com/acme/base/base.libsonnet": "base 1"}
    install("--force")
    assert tree()["base"] == "-> github.com/acme/base"


def test_edited_packages_are_not_replaced(install, tree, project):
    install("github.com/acme/base@v1")
    file = project / "vendor/github.com/acme/base/base.libsonnet"
    file.unlink()
    file.write_text("mine")
    before = (project / "jsonnetfile.json").read_text()
    for arguments in ((), ("github.com/acme/base@v2",)):
        said = install(*arguments, code=1).stderr
        assert "vendor/github.com/acme/base: not as it was fetched, and committed nowhere" in said
        assert tree()["github.com/acme/base/base.libsonnet"] == "mine"
    assert (project / "jsonnetfile.json").read_text() == before
    install("--force")
    assert tree()["github.com/acme/base/base.libsonnet"] == "base 1"
    # A checkout that stands in for a package.
    shutil.rmtree(project / "vendor/github.com/acme/base")
    (project / "vendor/github.com/acme/base").symlink_to("../../../mine")
    assert "not as it was fetched" in install(code=1).stderr


@pytest.mark.parametrize("kept", ["lock", "nothing"])
def test_a_vendor_folder_of_jb_is_taken_over(install, project, cache, kept):
    """It need not be ours: the sums of the lock, or the packages themselves, say what it is."""
    install("github.com/acme/mixin@v1.0")
    shutil.rmtree(cache)
    if kept == "nothing":
        (project / "jsonnetfile.lock.json").unlink()
    assert "0 of them new" in install().stdout
    assert "0 of them new" in install(command="update").stdout


def test_a_lock_that_somebody_else_has_updated(install, project, cache, tree):
    """A pull brings a newer lock; vendor/ is in no commit, and what was in it came from another machine, or by jb."""
    install("github.com/acme/base@v1")
    git(project, "init", "--quiet", "--template=")
    (project / ".gitignore").write_text("vendor/\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "one")
    shutil.copytree(project / "vendor", project.parent / "old", symlinks=True)
    install("github.com/acme/base@v2")
    git(project, "commit", "--quiet", "--all", "--message", "two")
    shutil.rmtree(project / "vendor")
    (project.parent / "old").rename(project / "vendor")
    shutil.rmtree(cache)
    install()
    assert tree()["github.com/acme/base/base.libsonnet"] == "base 2"


HOSTILE = {
    "a name that leads out": [source("github.com/acme/base", "v1", name="../../out")],
    "a folder that leads out": [source("github.com/acme/base/../../../out", "v1")],
    "an address that leads out": [{"source": {"git": {"remote": "https://github.com/../../out", "subdir": ""}}}],
    "an option": [source("github.com/acme/base", "--upload-pack=touch out")],
    "another transport": [{"source": {"git": {"remote": "ext::sh -c touch% out", "subdir": ""}}}],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_packages(install, remotes, project, entries):
    remotes.commit("github.com/acme/bad", {"x": "x"}, needs=entries)
    install("github.com/acme/bad@main", code=1)
    assert list(project.iterdir()) == []
    assert not list(project.parent.glob("**/out"))


def test_a_link_of_a_package_leads_nobody_out(install, remotes, project):
    (project.parent / "outside").mkdir()
    remotes.commit("github.com/acme/bad", {"sub/deep/y": "y"}, tag="v1")
    shutil.rmtree(remotes.folder / "github.com/acme/bad.git/sub")
    remotes.commit("github.com/acme/bad", {"sub": Path("../../../../../outside")}, tag="v2")
    said = install("github.com/acme/bad@v2", "github.com/acme/bad/sub/deep@v1", code=1).stderr
    assert "github.com/acme/bad/sub/deep: lies below a symbolic link of another package" in said
    assert list((project.parent / "outside").iterdir()) == []
    assert not (project / "vendor").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a jsonnetfile"),
        ('{"version": 2}', "has version 2"),
        ('{"dependencies": [{}]}', "dependencies[0]: has no source"),
        ('{"dependencies": [{"source": {"git": {"remote": "x"}}}]}', "dependencies[0]: x: is not an address"),
        ("\xff", "is not UTF-8"),
    ],
)
def test_files_that_say_nothing(install, project, text, message):
    (project / "jsonnetfile.json").write_text(text, encoding="latin-1")
    assert message in install(code=1).stderr


def test_a_locked_commit_that_is_gone(install, project, cache, remotes):
    install("github.com/acme/boards/boards@main")
    shutil.rmtree(project / "vendor")
    shutil.rmtree(cache)
    shutil.rmtree(remotes.folder / "github.com/acme/boards.git")
    remotes.commit("github.com/acme/boards", {"boards/b.libsonnet": "rewritten"})
    assert "jsonnetfile.lock.json names it: `update` takes another" in install(code=1).stderr
    install(command="update")


def test_refusals(install, project):
    assert "jsonnetfile.json: is not there: `install URL@VERSION` makes it" in install(code=1).stderr
    assert "is neither a folder here nor an address" in install("nonsense", code=1).stderr
    assert "has no tag, branch or commit v9: its tags are v1, v2" in install("github.com/acme/base@v9", code=1).stderr
    assert "has no folder none" in install("github.com/acme/base/none@v1", code=1).stderr
    install("github.com/acme/base@v1", "github.com/acme/mixin@v1.0", "--legacy-name", "x", code=2)
    install("--single", code=2)
    assert list(project.iterdir()) == []
    install("github.com/acme/base@v1")
    assert "update takes no version" in install("github.com/acme/base@v2", command="update", code=1).stderr
    assert "has github.com/acme/mixin" in install("github.com/acme/mixin", command="update", code=1).stderr


def test_who_needs_what_cannot_be_fetched(install, remotes):
    remotes.commit("github.com/acme/broken", {"x": "x"}, needs=[source("github.com/acme/gone", "v1")])
    said = install("github.com/acme/broken@main", code=3).stderr
    assert "github.com/acme/gone (needed by github.com/acme/broken): can't reach" in said


def test_machines_read_what_was_done(install):
    data = json.loads(install("github.com/acme/mixin@v1.0", "--format", "json").stdout)
    assert [(package["folder"], package["wanted"], package["changed"]) for package in data["packages"]] == [
        ("github.com/acme/mixin", "v1.0", True),
        ("github.com/acme/boards/boards", "main", True),
        ("github.com/acme/base", "v2", True),
    ]
    assert data["packages"][2]["sum"] == sha("base 2")
    assert len(data["notes"]) == 1


def test_a_file_that_cannot_be_written_leaves_everything_as_it_was(install, tree, project, monkeypatch):
    install("github.com/acme/base@v1")
    before = (tree(), (project / "jsonnetfile.lock.json").read_text())

    def refuse(_):
        raise OSError(28, "No space left on device", "jsonnetfile.lock.json")

    monkeypatch.setattr(installing.Transaction, "commit", refuse)
    assert "No space left on device" in install("github.com/acme/base@v2", code=1).stderr
    assert (tree(), (project / "jsonnetfile.lock.json").read_text()) == before
    assert {path.name for path in project.iterdir()} == {"jsonnetfile.json", "jsonnetfile.lock.json", "vendor"}


READER = """
import pathlib, sys
file, stop = map(pathlib.Path, sys.argv[1:])
print("reading", flush=True)
while not stop.exists():
    assert file.read_text() in {"base 1", "base 2"}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere entries are moved one after another")
def test_readers_always_find_a_whole_vendor(install, project, tmp_path):
    """Somebody compiles while packages are replaced."""
    install("github.com/acme/base@v1")
    for number in range(500):  # If they were moved one after another, that would take a while.
        (project / f"vendor/{number}.txt").touch()
    arguments = (project / "vendor/base/base.libsonnet", tmp_path / "stop")
    reader = subprocess.Popen([sys.executable, "-c", READER, *arguments], stdout=subprocess.PIPE)
    assert reader.stdout.readline() == b"reading\n"
    for version in ("v2", "v1", "v2"):
        install(f"github.com/acme/base@{version}")
    (tmp_path / "stop").touch()
    reader.communicate(timeout=60)
    assert reader.returncode == 0


@pytest.mark.parametrize("moment", ["settle", "commit"])
def test_a_killed_install_leaves_a_whole_vendor(install, tree, project, cache, moment):
    """Before the new packages are in their place, and after it, but before the lock is written."""
    install("github.com/acme/base@v1")
    script = (
        "import os, signal, sys, pathlib\n"
        "from kronos_mixin.vendor import git, install, known\n"
        f"git.cache = known.cache = lambda: pathlib.Path({str(cache)!r})\n"
        "def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        "where = install.Layout if sys.argv[1] == 'settle' else install.Transaction\n"
        "setattr(where, 'plan' if sys.argv[1] == 'settle' else 'commit', die)\n"
        f"install.install(pathlib.Path({str(project)!r}), ['github.com/acme/base@v2'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert tree()["base"] == "-> github.com/acme/base"
    install()
    assert tree()["github.com/acme/base/base.libsonnet"] == "base 1"
    assert {path.name for path in project.iterdir()} == {"jsonnetfile.json", "jsonnetfile.lock.json", "vendor"}
