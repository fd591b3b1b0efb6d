"""What a push does with the rule groups of a ruler.

Rule groups have no place for notes, but an expression may have a comment, which rulers keep: the first of each group
of ours begins with one, with the mixin's name and a digest of the group. So a group without it is not ours, and one
that does not fit its digest was edited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kronos_mixin.changes import Verb
from kronos_mixin.compile import readable
from kronos_mixin.connect import AnswerError
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.push.ruler import Ruler
from kronos_mixin.push.step import Mark, PushError, Step
from kronos_mixin.windows import seconds
from kronos_mixin.yamltext import to_yaml

_DURATIONS = {"for", "interval", "keep_firing_for", "query_offset", "evaluation_delay"}
_CONFLICT = 409

Group = Mapping[str, Any]


def steps(ruler: Ruler, mixin: Mixin, namespace: str, *, force: bool = False) -> list[Step]:
    """What brings the mixin's rule groups to a namespace of a ruler, and takes away those that it no longer has.

    `force` overwrites and removes what somebody has edited. Raises AnswerError, and PushError.
    """
    live = ruler.groups(namespace)
    wanted = _wanted(mixin)
    return [
        *(_bring(ruler, mixin.name, namespace, group, live.get(name), force) for name, group in wanted.items()),
        *_leftovers(ruler, mixin.name, namespace, {name: live[name] for name in live if name not in wanted}, force),
    ]


def marked(group: Group, mixin: str) -> dict[str, Any]:
    """A group as it is pushed."""
    first, *rest = group["rules"]
    comment = f"# {Mark.of(mixin, _canonical(group))}"
    return {**group, "rules": [{**first, "expr": f"{comment}\n{first['expr']}"}, *rest]}


def mark_of(group: Group) -> tuple[Mark | None, dict[str, Any]]:
    """The mark on a group, and the group without it."""
    first, *rest = group.get("rules") or [{}]
    line, _, expression = str(first.get("expr", "")).lstrip().partition("\n")
    mark = Mark.read(line.removeprefix("#")) if line.startswith("#") else None
    return mark, {**group, "rules": [{**first, "expr": expression}, *rest]} if mark else dict(group)


def _wanted(mixin: Mixin) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for group in readable([*mixin.rules, *mixin.alerts]):
        if group["name"] in found:
            raise PushError(f"two rule groups are named {group['name']}: a ruler would keep the last one only")
        if group["rules"]:
            found[group["name"]] = group
    return found


def _bring(ruler: Ruler, mixin: str, namespace: str, group: Group, live: Group | None, force: bool) -> Step:
    name, new = group["name"], marked(group, mixin)

    def make() -> None:
        _unchanged(ruler, namespace, name, live)
        ruler.put(namespace, new)

    after = to_yaml(group)
    if live is None:
        return Step(Verb.add, name, _named(name), after=after, make=make)
    mark, bare = mark_of(live)
    if not force and (why := _hands_off(mark, bare, mixin)):
        return Step(Verb.keep, name, _named(name), why, to_yaml(bare), after)
    if mark == Mark.of(mixin, _canonical(group)) == Mark.of(mixin, _canonical(bare)):
        return Step(Verb.same, name, _named(name))
    return Step(Verb.change, name, _named(name), "", to_yaml(bare), after, make)


def _leftovers(ruler: Ruler, mixin: str, namespace: str, live: Mapping[str, Group], force: bool) -> Iterator[Step]:
    for name, group in live.items():
        mark, bare = mark_of(group)
        if mark is None or mark.mixin != mixin:
            continue
        why = "the mixin no longer has it"
        if not force and (edited := _hands_off(mark, bare, mixin)):
            yield Step(Verb.keep, name, _named(name), f"{why}, but it {edited}", to_yaml(bare))
            continue

        def make(name: str = name, group: Group = group) -> None:
            _unchanged(ruler, namespace, name, group)
            ruler.delete(namespace, name)

        yield Step(Verb.remove, name, _named(name), why, to_yaml(bare), make=make)


def _hands_off(mark: Mark | None, bare: Group, mixin: str) -> str:
    """Why a group must be left alone; empty if it need not."""
    if mark is None:
        return "lacks the mark of a push, so it is somebody else's: --force takes it over"
    if mark.mixin != mixin:
        return f"is of the mixin {mark.mixin}: --force takes it over"
    if mark != Mark.of(mixin, _canonical(bare)):
        return "was edited in the ruler: --force overwrites that"
    return ""


def _unchanged(ruler: Ruler, namespace: str, name: str, seen: Group | None) -> None:
    """Raise AnswerError if a group is not as it was seen. The API has no versions: this leaves milliseconds."""
    if ruler.groups(namespace).get(name) != seen:
        raise AnswerError("somebody has changed it meanwhile, and nothing was overwritten", _CONFLICT)


def _named(name: str) -> str:
    return f"rule group {name}"


def _canonical(value: Any, key: str = "") -> Any:
    """A group as it means the same: durations in seconds, expressions on one line, without what is empty."""
    if key in _DURATIONS:
        return seconds(str(value))
    if key == "expr":
        return " ".join(str(value).split())
    if isinstance(value, Mapping):
        fields = {name: _canonical(item, name) for name, item in value.items()}
        return {name: item for name, item in fields.items() if item not in (None, "", 0, {}, [])}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_canonical(item) for item in value]
    return value
