"""What users have changed in our scrape job since the last merge: it stays.

The mark of the job remembers a digest of each of its keys as merge wrote it. So three versions of a key can be told
apart: as it was written, as it is in the file, and as it would be written now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kronos_mixin.merge.blocks import Block, block_of, is_ours
from kronos_mixin.merge.prometheusyml import LOADER, MergeError, plain, to_data
from kronos_mixin.merge.verbatim import Verbatim

Job = Mapping[str, Any]
_GONE = object()


def digests(job: Job) -> dict[str, str]:
    """A short digest of each key of a job."""
    return {key: _digest(value) for key, value in to_data(plain(job)).items()}


def kept(text: str, name: str, jobs: Sequence[Job], *, restore: bool = False) -> tuple[str, list[Job]]:
    """``text`` and ``jobs`` of the mixin ``name``, with what users have changed in the file.

    ``restore`` writes a job again that they have removed. Raises MergeError where both have changed the same.
    """
    block = block_of(text, name, "scrape_configs")
    if block is None or not jobs:
        return text, list(jobs)
    there = _written(text, block)
    ours = {job: value for job, value in there.items() if job in block.listed}
    if not ours and not restore and block.listed:
        if len(there) != 1 or len(block.listed) != 1:
            raise MergeError(
                f"no longer has the scrape job {', '.join(block.listed)} between its marks: say --rules-only to "
                "leave it out, or --target HOST:PORT to have it again"
            )
        (renamed,) = there
        if renamed != jobs[0]["job_name"]:
            raise MergeError(
                f"the scrape job {block.listed[0]} is called {renamed} now, and the rules select by that name: say "
                f"--job {renamed}"
            )
        # It is ours by that name from now on.
        line = text[block.start : block.end].split("\n", 1)[0]
        was, now = json.dumps(list(block.listed)), json.dumps([renamed])
        text = text[: block.start] + line.replace(was, now, 1) + text[block.start + len(line) :]
        return text, [_merged(jobs[0], there[renamed], next(iter(block.wrote.values()), {}))]
    if len(jobs) == len(ours) == 1:  # The name may be another one now.
        (was_called,) = ours
        return text, [_merged(jobs[0], ours[was_called], block.wrote.get(was_called, {}))]
    return text, [
        _merged(job, ours[job["job_name"]], block.wrote.get(job["job_name"], {})) if job["job_name"] in ours else job
        for job in jobs
    ]


def _merged(new: Job, there: Mapping[str, Verbatim], wrote: Mapping[str, str]) -> Job:
    """A job as it is to be written, in the order of the file."""
    merged: dict[str, Any] = {}
    wanted = digests(new)
    for key in [*there, *(key for key in new if key not in there)]:
        if key == "job_name":
            merged[key] = new[key]
            continue
        before, now = wrote.get(key), wanted.get(key)
        here = _digest(to_data(there[key].tree)) if key in there else None
        if here == now or (here == before and here is not None) or not wrote:
            # As it would be written, or as it was. Without a digest, what both have is taken to be ours.
            value = new.get(key, there[key] if not wrote and key in there else _GONE)
        elif now == before:
            value = there.get(key, _GONE)
        elif key == "static_configs" and key in there:
            value = _with_targets(there[key], new[key])
        else:
            raise MergeError(_both(new, key, there))
        if value is not _GONE:
            merged[key] = there[key] if here is not None and here == now else value
    return merged


def _with_targets(there: Verbatim, new: Sequence[Mapping[str, Any]]) -> Any:
    """Other targets, and all else that a single group of targets has in the file."""
    groups = there.items
    if len(groups) != 1 or len(new) != 1:
        raise MergeError(
            "has a list of targets that was edited in the file: edit it there, or delete it there to have it written "
            "anew"
        )
    return [{**{key: value for key, value in groups[0].items() if key not in new[0]}, **new[0]}]


def _both(new: Job, key: str, there: Mapping[str, Verbatim]) -> str:
    shown = json.dumps(to_data(there[key].tree)) if key in there else "gone"
    wanted = json.dumps(new[key]) if key in new else "gone"
    return (
        f"the scrape job {new['job_name']} was edited: {key} is {shown} in the file, and would be {wanted} now. "
        "Change one of them to be as the other: the line in the file, or what is said by options and --config"
    )


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:6]


def _written(text: str, block: Block) -> dict[str, dict[str, Verbatim]]:
    """The jobs in our block by name, with the source of each of their keys."""
    skipped = 1 if text.startswith("\ufeff") else 0
    root: Any = yaml.compose(text[skipped:], Loader=LOADER)
    items = next(value.value for name, value in root.value if name.value == block.key)
    jobs = {}
    for item in items:
        start = item.start_mark.index + skipped
        inside = block.flow or block.start <= start < block.end
        if inside and isinstance(item, yaml.MappingNode):
            job = Verbatim.mapping(text, item, skipped)
            name = to_data(job["job_name"].tree) if "job_name" in job else ""
            if not block.flow or is_ours({"job_name": name}, block):
                jobs[name] = job
    return jobs
