"""Finds the files of a checkpoint: in a local folder, or in a repository of the Hugging Face hub."""

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from .errors import CheckpointInvalid, CheckpointNotFound

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Source:
    """A folder that holds one half of a checkpoint.

    Attributes:
        folder: where the files are.
        name: the folder's own name, or the hub id.
        commit: the commit on the hub; None for a local folder.
    """

    folder: Path
    name: str
    commit: str | None


def locate(source: str, revision: str | None) -> Source:
    """Find ``source``: a folder if it exists, else a repository of the hub, which is downloaded.

    Args:
        source: path of a folder or ``owner/name``.
        revision: branch, tag or commit on the hub; None means its main branch.

    Raises:
        CheckpointNotFound: there is no such folder, or the repository could not be downloaded.
        CheckpointInvalid: ``source`` is a file, or a local folder with a revision.
    """
    path = Path(source)
    if path.is_dir():
        if revision is not None:
            raise CheckpointInvalid(
                f"{source} is a local folder, which has no revision {revision!r}; leave the revision out"
            )
        # Resolved, because "." and ".." have no name of their own.
        return Source(path, path.resolve().name, None)
    if path.exists():
        raise CheckpointInvalid(f"{source} is a file; give the folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}")
    if not _HUB_ID.fullmatch(source):
        raise CheckpointNotFound(f"there is no folder {source}, and it is not a hub id (owner/name) either")
    return _download(source, revision)


def _download(hub_id: str, revision: str | None) -> Source:
    try:
        folder = Path(snapshot_download(hub_id, revision=revision, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    # The client's errors (HTTP, network, cache, validation) have no common base class.
    except Exception as error:
        raise CheckpointNotFound(
            f"{hub_id} (revision {revision or 'main'}) is not a local folder, and could not be downloaded from the"
            f" Hugging Face hub: {type(error).__name__}: {error}; check the id, the revision, the network and"
            " the access token, or give the path of a local folder"
        ) from error
    # The client names the folder of a snapshot after its commit.
    return Source(folder, hub_id, folder.name)
