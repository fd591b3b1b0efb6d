import pytest

from kronos_mixin.contract import mixin_path
from proof.jsonnetfmt import format_jsonnet

FILES = sorted(mixin_path().rglob("*.libsonnet"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(mixin_path())))
def test_jsonnet_is_formatted(path):
    text = path.read_text()
    assert format_jsonnet(path.name, text) == text, "run `python -m proof.jsonnetfmt` on it"


def test_the_formatter_formats():
    assert format_jsonnet("a", '{"a":1,\n b : "c"}') == "{\n  a: 1,\n  b: 'c',\n}\n"
    with pytest.raises(ValueError, match="a:1"):
        format_jsonnet("a", "{")
