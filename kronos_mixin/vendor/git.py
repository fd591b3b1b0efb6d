"""Fetches folders of git repositories through a cache, so that what was fetched once needs no network again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kronos_mixin.cache import cache
from kronos_mixin.vendor.errors import UnreachableError, VendorError, without_secrets
from kronos_mixin.vendor.source import Git

_SECONDS = 300
_EVERYTHING = ("+refs/heads/*:refs/remote/heads/*", "+refs/tags/*:refs/remote/tags/*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Commit:
    """What a version stands for."""

    name: str
    stale: bool = False
    """The remote can't be reached: it is what the version stood for when it was fetched last."""


@dataclass(frozen=True)
class Repository:
    """A remote repository, with what was fetched of it before."""

    source: Git
    folder: Path = field(init=False)
    """Its bare copy in the cache."""

    def __post_init__(self) -> None:
        remote = self.source.remote
        readable = re.sub(r"[^\w.-]+", "-", self.source.path)[-40:].strip("-.")
        name = f"{readable}-{hashlib.sha256(remote.encode()).hexdigest()[:12]}"
        object.__setattr__(self, "folder", cache() / "git" / name)

    def commit(self, version: str, *, fresh: bool = False) -> Commit:
        """The commit of a tag, branch or commit; an empty version is the default branch.

        What is not a whole commit is asked of the remote. Where that is out of reach, it is what it was last, unless
        it must be ``fresh``. Raises VendorError.
        """
        if version.startswith("-"):
            raise VendorError(f"{version}: is not the name of a tag, branch or commit")
        with self._open():
            if _COMMIT.fullmatch(version) and (known := self._parse(version)):
                return Commit(known)
            seen = f"refs/seen/{hashlib.sha256(version.encode()).hexdigest()[:20]}"
            try:
                return Commit(self._fetch(version or "HEAD", seen))
            except UnreachableError:
                if fresh or not (known := self._parse(seen)):
                    raise
                return Commit(known, stale=True)

    def has(self, commit: str, path: str) -> bool:
        """Whether a file is in a commit that was fetched."""
        with self._open():
            return bool(self._git("ls-tree", "--full-tree", commit, path, check=False))

    def export(self, commit: str, folder: Path) -> None:
        """Write the source's folder at ``commit`` to ``folder``, byte for byte whatever git's settings are here.

        Raises VendorError.
        """
        subdir = self.source.subdir
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, self._open():
            archive, files = Path(temporary) / "archive.tar", Path(temporary) / "files"
            path = ["--", subdir] if subdir else []
            try:
                self._git("archive", "--format=tar", "--output", str(archive), commit, *path, pure=True)
            except VendorError as error:
                if "pathspec" not in str(error):
                    raise
            if archive.is_file() and archive.stat().st_size:
                with tarfile.open(archive) as tar:
                    tar.extractall(files, filter="tar")
            if not (files / subdir).is_dir():
                raise VendorError(f"{self.source.remote} at {commit[:12]} has no folder {subdir or '/'}")
            (files / subdir).rename(folder)

    def refs(self) -> dict[str, str]:
        """Every branch and tag of the remote, with its commit. Raises UnreachableError."""
        try:
            lines = _git("ls-remote", "--", self.source.address).decode().splitlines()
        except VendorError as error:
            raise UnreachableError(f"can't reach {self.source.remote}: {error}") from None
        return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}

    def default_branch(self) -> str:
        """The name of the branch that the remote gives to those who name none. Raises VendorError."""
        try:
            said = _git("ls-remote", "--symref", "--", self.source.address, "HEAD").decode()
        except VendorError as error:
            raise UnreachableError(f"can't reach {self.source.remote}: {error}") from None
        if match := re.match(r"ref: refs/heads/(\S+)\tHEAD", said):
            return match[1]
        raise VendorError(f"{self.source.remote}: has no default branch: name a version, as in URL@v1")

    def _fetch(self, version: str, seen: str) -> str:
        def fetch(*arguments: str) -> None:
            self._git("-c", "gc.auto=0", "fetch", "--quiet", "--no-tags", "--force", *arguments)

        address = self.source.address
        try:
            fetch("--depth=1", "--", address, f"{version}:{seen}")
        except VendorError:
            # Is the remote there at all? Not every one gives a commit by its name alone, and none by a part of it.
            refs = self.refs()
            if re.fullmatch(r"[0-9a-f]{7,64}", version):
                shallow = self._git("rev-parse", "--is-shallow-repository").strip() == b"true"
                fetch(*(["--unshallow"] if shallow else []), "--", address, *_EVERYTHING)
                if commit := self._parse(version):
                    self._git("update-ref", seen, commit)
                    return commit
            tags = [name.removeprefix("refs/tags/") for name in refs if re.fullmatch(r"refs/tags/[^^]+", name)]
            there = f"its tags are {', '.join(tags[-5:])}" if tags else "it has no tags"
            raise VendorError(f"{self.source.remote} has no tag, branch or commit {version}: {there}") from None
        return self._parse(seen)

    def _parse(self, name: str) -> str:
        """The commit that ``name`` stands for in the cache; empty if there is none."""
        return self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False).decode().strip()

    def _git(self, *arguments: str, check: bool = True, pure: bool = False) -> bytes:
        return _git("-C", str(self.folder), *arguments, check=check, pure=pure)

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        """Hold the cached copy, which is made if need be: others wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not (self.folder / "HEAD").is_file():
                self._git("init", "--quiet", "--bare", "--template=")
                if self.source.host != "github.com":
                    # jb takes GitHub's archives, but checks others out: what is not to be exported is in the latter.
                    (self.folder / "info").mkdir(exist_ok=True)
                    (self.folder / "info/attributes").write_text("* -export-ignore -export-subst\n")
            yield
        finally:
            os.close(descriptor)


def past(file: Path) -> str:
    """Every line that commits have added to a file; empty outside a repository."""
    said = _git("-C", str(file.parent), "log", "--format=", "--unified=0", "--patch", "--", file.name, check=False)
    return "\n".join(line[1:] for line in said.decode(errors="replace").splitlines() if line.startswith("+"))


def is_committed(path: Path) -> bool:
    """Whether a folder's content is in the commit that its repository is at, so that nothing gets lost with it."""
    where = ("-C", str(path.parent))
    try:
        tracked = _git(*where, "ls-files", "--", path.name)
        return bool(tracked) and not _git(*where, "status", "--porcelain", "--ignored", "--", path.name)
    except VendorError:  # In no repository.
        return False


def _git(*arguments: str, check: bool = True, pure: bool = False) -> bytes:
    """What git prints; ``pure``: without any settings of this machine."""
    program = shutil.which("git")
    if program is None:
        raise VendorError("git is not on PATH: install it")
    # Those of a hook that runs this program are about its own repository.
    about_a_repository = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"}
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in about_a_repository and not (pure and name.startswith("GIT_"))
    }
    # Fail instead of asking for a password.
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C"}
    if pure:
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": os.devnull}
        environment.pop("XDG_CONFIG_HOME", None)
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VendorError(f"git did not answer within {_SECONDS} s") from None
    if done.returncode and check:
        said = without_secrets(done.stderr.decode(errors="replace").strip())
        raise VendorError(said or f"git {arguments[0]} ended with {done.returncode}")
    return b"" if done.returncode else done.stdout
