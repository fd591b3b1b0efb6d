from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from kronos_mixin.vendor import git as git_module
from kronos_mixin.vendor import known

HOSTS = {
    "https://github.com/": "github.com",
    "https://git.example.com/": "git.example.com",
    "ssh://git@git.example.com/": "git.example.com",
}


def git(folder, *arguments):
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@dataclass
class Remotes:
    """Git repositories that git finds under the addresses of well-known hosts."""

    folder: Path

    def commit(self, repository, files, *, tag=None, needs=()):
        """Commit files, given by path, to a repository such as github.com/acme/lib; return the commit."""
        place = self.folder / f"{repository}.git"
        if not place.exists():
            place.mkdir(parents=True)
            git(place, "init", "--quiet", "--template=")
        for path, content in files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                (place / path).symlink_to(content)
            else:
                (place / path).write_text(content)
        if needs:
            (place / "jsonnetfile.json").write_text(jsonnetfile(*needs))
        git(place, "add", "--all")
        git(place, "commit", "--quiet", "--allow-empty", "--message", "x")
        if tag:
            git(place, "tag", "--annotate", tag, "--message", tag)
        return git(place, "rev-parse", "HEAD")


def source(place, version, **more):
    """An entry of jsonnetfile.json for host/organisation/repository/folder."""
    host, organisation, repository, *subdir = place.split("/")
    remote = f"https://{host}/{organisation}/{repository}.git"
    return {"source": {"git": {"remote": remote, "subdir": "/".join(subdir)}}, "version": version, **more}


def local(directory):
    return {"source": {"local": {"directory": directory}}, "version": ""}


def jsonnetfile(*entries, **more):
    return json.dumps({"version": 1, "dependencies": list(entries), "legacyImports": True, **more})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test alone."""
    for module in (git_module, known):
        monkeypatch.setattr(module, "cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def remotes(tmp_path, monkeypatch):
    folder = tmp_path / "remotes"
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(HOSTS)))
    for number, (address, name) in enumerate(HOSTS.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", f"url.file://{folder}/{name}/.insteadOf")
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", address)
    return Remotes(folder)


@pytest.fixture
def project(tmp_path):
    """Somebody's repository, which nothing is installed in yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def tree(project):
    """What is below vendor/: contents of files, and what links lead to."""

    def read():
        vendor = project / "vendor"
        return {
            path.relative_to(vendor).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
            for path in sorted(vendor.rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    return read


@pytest.fixture
def lock(project):
    """The lock's entries by the last parts of their folders."""

    def read():
        entries = json.loads((project / "jsonnetfile.lock.json").read_text())["dependencies"]
        git_entries = [entry for entry in entries if "git" in entry["source"]]
        names = [f"{e['source']['git']['remote']}/{e['source']['git']['subdir']}".rstrip("/") for e in git_entries]
        return {
            name.split("/", 3)[3].replace(".git", ""): entry for name, entry in zip(names, git_entries, strict=True)
        }

    return read
