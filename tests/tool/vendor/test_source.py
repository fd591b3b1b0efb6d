"""Addresses of packages, as jb understands them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kronos_mixin.vendor.errors import VendorError
from kronos_mixin.vendor.jsonnetfile import Jsonnetfile
from kronos_mixin.vendor.source import Git, Local, parse

URLS = {
    "github.com/org/repo": ("https://github.com/org/repo.git", "", ""),
    "github.com/org/repo/a/b@v1": ("https://github.com/org/repo.git", "a/b", "v1"),
    "github.com/org/repo@release/1.0": ("https://github.com/org/repo.git", "", "release/1.0"),
    "github.com/org/repo/a@scope/pkg@1": ("https://github.com/org/repo.git", "a", "scope/pkg@1"),
    "https://git.example.com/org/repo/a@v1": ("https://git.example.com/org/repo.git", "a", "v1"),
    "https://git.example.com/group/sub/repo.git/a@v1": ("https://git.example.com/group/sub/repo.git", "a", "v1"),
    "https://u:p%40ss@git.example.com/org/repo@v1": ("https://git.example.com/org/repo.git", "", "v1"),
    "http://intranet:8080/org/repo.git@v1": ("http://intranet:8080/org/repo.git", "", "v1"),
    "git@git.example.com:org/repo.git/a@v1": ("ssh://git@git.example.com/org/repo.git", "a", "v1"),
    "git@git.example.com:org/repo": ("ssh://git@git.example.com/org/repo.git", "", ""),
    "ssh://git@git.example.com:2222/org/repo.git/a@v1": ("ssh://git@git.example.com:2222/org/repo.git", "a", "v1"),
    "ssh://git.example.com/org/repo.git": ("ssh://git@git.example.com/org/repo.git", "", ""),
}


@pytest.mark.parametrize(("url", "parts"), URLS.items())
def test_urls(url, parts, tmp_path):
    source, version = parse(url, tmp_path)
    assert isinstance(source, Git)
    assert (source.remote, source.subdir, version) == parts
    # What is written is read as the same.
    assert Git.of(source.remote, source.subdir) == source


@pytest.mark.parametrize(
    ("remote", "subdir", "name", "alias"),
    [
        ("https://github.com/org/repo.git", "", "github.com/org/repo", "repo"),
        ("https://github.com/org/repo", "/a/b/", "github.com/org/repo/a/b", "b"),
        ("https://git.example.com/team/sub/kronos", "mixin", "git.example.com/team/sub/kronos/mixin", "mixin"),
        ("ssh://git@git.example.com:2222/team/kronos.git", "", "git.example.com:2222/team/kronos", "kronos"),
        ("git@git.example.com:team/kronos.git", "mixin", "git.example.com/team/kronos/mixin", "mixin"),
        ("file:///srv/kronos.git", "mixin", "localhost/srv/kronos/mixin", "mixin"),
    ],
)
def test_folders_below_vendor(remote, subdir, name, alias):
    source = Git.of(remote, subdir)
    assert (source.name, source.alias) == (name, alias)


def test_folders_and_repositories_on_this_machine(tmp_path):
    (tmp_path / "lib/inner").mkdir(parents=True)
    assert parse("lib/inner", tmp_path) == (Local("lib/inner", "inner"), "")
    assert parse("./lib/../lib", tmp_path) == (Local("lib", "lib"), "")
    (tmp_path / "repo.git").mkdir()
    (tmp_path / "repo.git/HEAD").touch()
    source, version = parse(f"file://{tmp_path}/repo.git/a/b@v1", tmp_path)
    assert (source.remote, source.subdir, version) == (f"file://{tmp_path}/repo.git", "a/b", "v1")
    with pytest.raises(VendorError, match="there is no git repository"):
        parse(f"file://{tmp_path}/lib", tmp_path)


@pytest.mark.parametrize(
    "url", ["github.com/org", "https://github.com/a/../b", "org/repo", "", "ext::sh -c x", "https://a.com/b/c?x@v1"]
)
def test_what_is_no_address(url, tmp_path):
    with pytest.raises(VendorError):
        parse(url or "nothing", tmp_path)


def test_a_password_is_for_git_alone(tmp_path):
    source, _ = parse("https://u:s3cr3t@git.example.com/org/repo@v1", tmp_path)
    assert "u:s3cr3t@" in source.address
    assert "s3cr3t" not in f"{source} {source.data} {source.remote}"


def test_a_file_is_written_as_jb_does(tmp_path):
    """Sorted by folder, without what is empty, & escaped, a name that says nothing left out."""
    (tmp_path / "in.json").write_text("""{"version": 0, "dependencies": [
        {"name": "own", "source": {"git": {"remote": "https://github.com/org/z", "subdir": "x/"}}, "version": "a&b"},
        {"name": "a", "source": {"git": {"remote": "git@github.com:org/a.git"}}, "version": "v1"}
    ]}""")
    file = Jsonnetfile.read(tmp_path / "in.json", tmp_path)
    assert (
        file.content().decode()
        == """{
  "version": 1,
  "dependencies": [
    {
      "source": {
        "git": {
          "remote": "ssh://git@github.com/org/a.git",
          "subdir": ""
        }
      },
      "version": "v1"
    },
    {
      "source": {
        "git": {
          "remote": "https://github.com/org/z.git",
          "subdir": "x/"
        }
      },
      "version": "a\\u0026b",
      "name": "own"
    }
  ],
  "legacyImports": true
}
"""
    )
    (tmp_path / "out.json").write_bytes(file.content())
    assert Jsonnetfile.read(tmp_path / "out.json", tmp_path).content() == file.content()


def test_names_of_local_folders(tmp_path):
    source = Local.of("..", tmp_path / "a/b")
    assert (source.name, source.data) == ("a", {"local": {"directory": ".."}})
    assert Local.of("mixin", Path()).name == "mixin"
