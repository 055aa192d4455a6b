"""The user's own global job parameters survive beside the operator's, however they are written."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.api.flink_options import GLOBAL_PARAMETERS
from flinkjob.core.parameters import split_pairs, with_parameters
from tests.support.tables import table

OWN = {"flinkjob.dev/owner": "default/shop/clicks", "flinkjob.dev/submission": "7"}


def _joined(value: str) -> str:
    return with_parameters({GLOBAL_PARAMETERS: value}, OWN)[GLOBAL_PARAMETERS]


def _read(value: str) -> dict[str, str] | None:
    """As Flink does: a YAML mapping, else split. All values as they are written, which is what matters here."""
    try:
        found = yaml.load(value, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        found = None
    return found if isinstance(found, dict) else split_pairs(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _double(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _split(key: str, text: str) -> str:
    return _quoted(f"{_quoted(key)}:{_quoted(text)}")


words = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=12)
simple = st.from_regex(r"[a-z][a-z0-9./-]{0,8}", fullmatch=True)


@given(pairs=st.dictionaries(words, words, max_size=4), spell=st.sampled_from((_quoted, _double)))
def test_in_braces(pairs: dict[str, str], spell: Callable[[str], str]) -> None:
    value = "{" + ", ".join(f"{spell(key)}: {spell(text)}" for key, text in pairs.items()) + "}"
    assert _read(_joined(value)) == pairs | OWN


@given(pairs=st.dictionaries(words, words, min_size=1, max_size=4))
def test_a_line_for_each(pairs: dict[str, str]) -> None:
    value = "\n".join(f"{_quoted(key)}: {_quoted(text)}" for key, text in pairs.items())
    assert _read(_joined(value)) == pairs | OWN


@given(pairs=st.dictionaries(simple, simple, max_size=4), between=st.sampled_from((":", " : ", ": ")))
def test_between_commas(pairs: dict[str, str], between: str) -> None:
    value = ",".join(f"{key}{between}{text}" for key, text in pairs.items())
    survivors = split_pairs(_joined(value)) if between == ":" else _read(_joined(value))
    assert survivors is not None
    assert {key.strip(): text.strip() for key, text in survivors.items()} in (pairs | OWN, _read(value))


@given(pairs=st.dictionaries(words.filter(str.strip), words, min_size=1, max_size=4))
def test_between_commas_with_quotes(pairs: dict[str, str]) -> None:
    value = ",".join(_split(key, text) for key, text in pairs.items())
    joined = _joined(value)
    assert joined == value or split_pairs(joined) == pairs | OWN


@given(value=st.text(max_size=20))
def test_a_value_is_joined_or_left_as_it_is(value: str) -> None:
    joined = _joined(value)
    assert joined == value or (_read(value) or {}).items() <= (_read(joined) or {}).items() | OWN.items()


@table(
    ("value", "joined"),
    "numbers and truth values stay what they are",
    ("{a: 010, b: 1e3, c: true}", '{a: 010, b: 1e3, c: true, "flinkjob.dev/owner": "x"}'),
    "none",
    ("", "flinkjob.dev/owner:x"),
    "no pair",
    ("{}", '{"flinkjob.dev/owner": "x"}'),
    "a comma at the end",
    ("a:b,", "a:b,flinkjob.dev/owner:x"),
    "a comma in braces at the end",
    ("{a: b, }", '{a: b, "flinkjob.dev/owner": "x"}'),
    "a mark that somebody copied gives way",
    ("{flinkjob.dev/owner: y}", '{"flinkjob.dev/owner": "x"}'),
    "nested values are not understood",
    ("{a: {b: c}}", "{a: {b: c}}"),
    "nor is null",
    ("{a: ~}", "{a: ~}"),
    "nor are anchors",
    ("{a: &x b, c: *x}", "{a: &x b, c: *x}"),
    "what Flink refuses is left to it",
    ("a:b:c", "a:b:c"),
    "a key twice too",
    ("a:b,a:c", "a:b,a:c"),
)
def test_values(value: str, joined: str) -> None:
    found = with_parameters({GLOBAL_PARAMETERS: value, "a": "b"}, {"flinkjob.dev/owner": "x"})
    assert found == {GLOBAL_PARAMETERS: joined, "a": "b"}


def test_without_a_value_each_is_an_option_of_its_own() -> None:
    """So they join those that the user writes in the same way, or that the cluster has."""
    own = {f"{GLOBAL_PARAMETERS}.mine": "1"}
    marked = {f"{GLOBAL_PARAMETERS}.{key}": text for key, text in OWN.items()}
    assert with_parameters(own, OWN) == own | marked


@pytest.mark.parametrize("value", ["{" * 5000, "a: " * 5000, "'" * 5001, "{" + "a: b, " * 5000, ":" * 5000, " " * 5000])
def test_no_value_takes_long(value: str) -> None:
    assert isinstance(_joined(value), str)
