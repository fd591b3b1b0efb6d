"""Where packages come from, in jb's terms: a folder of a git repository, or a folder on this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kronos_mixin.vendor.errors import VendorError, without_secrets

_PATH = r"(?P<path>[^?#@]+)"
_ADDRESS = rf"(?:(?P<scheme>https?|ssh|git)://)?(?:(?P<user>[^@/]+)@)?(?P<host>[\w.-]+(?::\d+)?)/{_PATH}"
_SCP = rf"(?P<user>[^@/:]+)@(?P<host>[\w.-]+):(?!/){_PATH}"
_FILE = rf"file://(?:localhost)?(?=/){_PATH}"
_AT_VERSION = r"(?:@(?P<version>.+))?"
_DOMAIN = r"[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}(:\d+)?"
"""A host that is recognised without a scheme before it, and so is no folder on this machine."""


@dataclass(frozen=True, slots=True)
class Git:
    """A folder of a git repository."""

    scheme: str
    host: str
    """With the port, if there is one; empty for a repository on this machine."""
    path: str
    """Of the repository; without `.git`, except on this machine."""
    subdir: str = ""
    """As it was written: a slash at the end makes another package to jb."""
    user: str = ""
    """Of ssh, which is part of the address there, and no secret."""
    login: str = field(default="", compare=False, repr=False)
    """User and password, for git alone: never written to files."""

    @classmethod
    def of(cls, remote: str, subdir: str = "") -> Git:
        """The source at an address as jsonnetfile.json has it, or in a repository on this machine.

        Raises VendorError.
        """
        shown = without_secrets(remote)
        subdir = subdir.lstrip("/")
        if "://" not in remote and Path(remote).is_dir():
            remote = Path(remote).resolve().as_uri()
        if "?" in remote or "#" in remote:
            raise VendorError(f"{shown}: must be an address without ? and #")
        if match := re.fullmatch(_FILE, remote):
            source = cls("file", "", match["path"].rstrip("/"), subdir)
        elif match := re.fullmatch(_SCP, remote):
            source = cls("ssh", match["host"], _repository(match["path"]), subdir, match["user"])
        elif match := _address(remote):
            scheme, user = match["scheme"] or "https", match["user"] or ""
            login = {"user": user.partition(":")[0] or "git"} if scheme == "ssh" else {"login": user}
            source = cls(scheme, match["host"], _repository(match["path"]), subdir, **login)
        else:
            raise VendorError(f"{shown}: is not an address such as https://git.example.com/team/kronos.git")
        parts = source.path.split("/")
        if source.scheme != "file" and len(parts) < 2:
            raise VendorError(f"{shown}: must name an organisation and a repository, as in .../team/kronos.git")
        if {"", ".", ".."} & set(
            source.path.strip("/").split("/") + (subdir.rstrip("/").split("/") if subdir else [])
        ):
            raise VendorError(f"{shown}, folder {subdir or '/'}: must be plain paths, without empty parts, . and ..")
        return source

    @property
    def remote(self) -> str:
        """The address as jb writes it."""
        if self.scheme == "file":
            return f"file://{self.path}"
        user = f"{self.user}@" if self.user else ""
        return f"{self.scheme}://{user}{self.host}/{self.path}.git"

    @property
    def address(self) -> str:
        """The address for git, with the password if one was given."""
        return self.remote.replace("://", f"://{self.login}@", 1) if self.login else self.remote

    @property
    def name(self) -> str:
        """The package's folder below vendor/: host/organisation/repository/folder."""
        repository = (
            f"localhost{self.path.removesuffix('.git')}" if self.scheme == "file" else f"{self.host}/{self.path}"
        )
        return f"{repository}/{self.subdir}".rstrip("/")

    @property
    def alias(self) -> str:
        """The name that jb links it by."""
        return PurePosixPath(self.name).name

    @property
    def data(self) -> dict[str, Any]:
        """As in jsonnetfile.json."""
        return {"git": {"remote": self.remote, "subdir": self.subdir}}


@dataclass(frozen=True, slots=True)
class Local:
    """A folder on this machine, that vendor/ links to."""

    directory: str
    """Relative to the jsonnetfile.json that names it."""
    name: str
    """Its link in vendor/."""

    @classmethod
    def of(cls, directory: str, folder: Path) -> Local:
        """The source for ``directory``, as jb names it when it runs in ``folder``."""
        return cls(directory, PurePosixPath(os.path.normpath(folder.absolute() / directory)).name)

    @property
    def alias(self) -> str:
        """The name that jb gives it by itself."""
        return self.name

    @property
    def data(self) -> dict[str, Any]:
        """As in jsonnetfile.json."""
        return {"local": {"directory": self.directory}}


Source = Git | Local


def parse(uri: str, folder: Path) -> tuple[Source, str]:
    """The source and version of a URL as it is typed, such as github.com/org/repo/folder@v1.

    Anything else is a directory on this machine, relative to ``folder``. Raises VendorError.
    """
    if match := re.fullmatch(_FILE + _AT_VERSION, uri):
        path = Path(match["path"])
        root = next((place for place in (path, *path.parents) if _is_repository(place)), None)
        if root is None:
            raise VendorError(f"{uri}: there is no git repository")
        subdir = path.relative_to(root).as_posix().removeprefix(".")
        return Git.of(root.as_uri(), subdir), match["version"] or ""
    if match := re.fullmatch(_SCP + _AT_VERSION, uri) or _address(uri, _AT_VERSION):
        # What ends with .git is the repository, however deep; else it is organisation and repository, as with jb.
        repository, subdir = re.findall(r"(.+?\.git(?=/|$)|[^/]+/[^/]+|.*)(.*)", match["path"].strip("/"))[0]
        return Git.of(uri[: match.start("path")] + repository, subdir), match["version"] or ""
    if (folder / uri).is_dir():
        return Local.of(os.path.normpath(uri), folder), ""
    raise VendorError(
        f"{without_secrets(uri)}: is neither a folder here nor an address such as "
        "github.com/org/repo/folder@v1, git@git.example.com:org/repo.git@v1 or file:///srv/repo.git@v1"
    )


def _address(text: str, more: str = "") -> re.Match[str] | None:
    """The parts of an address by host and path: without a scheme, only if the host looks like one."""
    match = re.fullmatch(_ADDRESS + more, text)
    return match if match and (match["scheme"] or re.fullmatch(_DOMAIN, match["host"])) else None


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or (folder / "HEAD").is_file()


def _repository(path: str) -> str:
    return path.rstrip("/").removesuffix(".git")
