"""The user's global job parameters and the operator's own in one value, as Flink reads such maps.

Flink reads the value of a map option as a YAML mapping (`{k: v, k2: v2}`, or a line for each pair); a value that is none is
split at commas and colons (`k:v,k2:v2`, with quotes). All supported versions do so. Used by the submission. Invariant: the
user's parameters mean the same afterwards. Where that is not sure the value stays as it is, without the operator's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

from flinkjob.api.flink_options import GLOBAL_PARAMETERS

_PLAIN = r"[^\s,\[\]{}'\"#&*!|>%@`?:-][^,\[\]{}\n\"'#]*?|[-+]?\.?[0-9][0-9a-zA-Z.+_-]*"
_SCALAR = rf"\"(?:[^\"\\\n]|\\[^\n])*\"|'(?:[^'\n]|'')*'|{_PLAIN}"
_PAIR = re.compile(rf"[ ]*({_SCALAR})[ ]*:(?:(?<=['\"]:)|[ ])[ ]*({_SCALAR})[ ]*(?=,|\}}|\n|$)")
_TOKENS = {
    delimiter: re.compile(
        rf"\s*(?:'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|({delimiter})|([^{delimiter}\s'\"][^{delimiter}]*))"
    )
    for delimiter in ",:"
}
_COLON = re.compile(r":(\s|$)")
_NO_YAML = re.compile(r"[^{\[?!&*|>%@`#-]")
_TYPED = re.compile(r"[-+.0-9a-zA-Z_]+")
_NULL = frozenset({"null", "Null", "NULL", "~"})
_GAP = " " * 64
"""So many spaces in a row would be looked at again and again."""
_TO_QUOTE = (",", ":", "'", '"')


def with_parameters(configuration: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The configuration with the operator's own parameters added to the user's, wherever these stand.

    Args:
        own: parameters of the operator; the user's of the same name give way.
    """
    value = configuration.get(GLOBAL_PARAMETERS)
    if (
        value is None
    ):  # one option for each: they join those of the cluster's configuration, and yield to a whole value there
        return dict(configuration) | {f"{GLOBAL_PARAMETERS}.{key}": text for key, text in own.items()}
    joined = _joined(value, own)
    return dict(configuration) | ({GLOBAL_PARAMETERS: joined} if joined is not None else {})


def split_pairs(value: str) -> dict[str, str] | None:
    """The parameters of a value that is split at commas and colons; None where Flink would refuse it."""
    pairs = [split_quoted(pair, ":") for pair in split_quoted(value, ",") or ()]
    good = [(pair[0], pair[1]) for pair in pairs if pair is not None and len(pair) == 2]
    found = dict(good)
    return found if len(found) == len(pairs) and (found or not value.strip()) else None


def split_quoted(text: str, delimiter: str) -> list[str] | None:
    """The parts between commas or colons, without the quotes around a whole part; None for quotes that Flink refuses."""
    parts: list[str | None] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKENS[delimiter].match(text, at)
        if found is None:
            return None
        single, double, border, plain = found.groups()
        parts.append(None if border else _unquoted(single, double, plain))
        at = found.end()
    if any(left is not None and right is not None for left, right in pairwise(parts)):
        return None
    empty = ["" for left, right in pairwise(parts) if left is None and right is None]
    return [part for part in parts if part is not None] if not empty else None


def _unquoted(single: str | None, double: str | None, plain: str | None) -> str:
    if single is not None:
        return single.replace("''", "'")
    if double is not None:
        return double.replace('""', '"')
    return (plain or "").strip()


def _joined(value: str, own: Mapping[str, str]) -> str | None:
    if _GAP in value:
        return None
    if not value.strip() or (_NO_YAML.match(value.strip()) and not _COLON.search(value)):
        known = split_pairs(value)
        return None if known is None else ",".join(_pair(*each) for each in (known | dict(own)).items())
    known = _yaml_pairs(value.strip()) if value.replace("\n", "").isprintable() else None
    if known is None:
        return None
    ours = {_in_quotes(key): _in_quotes(text) for key, text in own.items()}
    return "{" + ", ".join(f"{key}: {text}" for key, text in (known | ours).items()) + "}"


def _pair(key: str, text: str) -> str:
    return _quoted(f"{_quoted(key)}:{_quoted(text)}", but=":")


def _quoted(text: str, but: str = "") -> str:
    """A part in quotes where Flink would split it, or read quotes or spaces in it."""
    plain = text and text == text.strip() and not any(mark in text for mark in _TO_QUOTE if mark != but)
    return text if plain else "'" + text.replace("'", "''") + "'"


def _yaml_pairs(value: str) -> dict[str, str] | None:
    """Keys and values of a mapping of scalars, spelled for a mapping in braces; None where it is anything else."""
    braces = value.startswith("{")
    if braces and not value.endswith("}"):
        return None
    inner = value[1:-1].strip(" ").removesuffix(",") if braces else value
    pairs = list(_scanned(inner, "," if braces else "\n")) if inner.strip() else []
    found = {key: text for pair in pairs if pair is not None for key, text in (pair,)}
    return found if len({key.strip('"') for key in found}) == len(pairs) else None


def _scanned(inner: str, border: str) -> Iterator[tuple[str, str] | None]:
    at = 0
    while at <= len(inner):
        pair = _PAIR.match(inner, at)
        if pair is None or (pair.end() < len(inner) and inner[pair.end()] != border):
            yield None
            return
        key, text = (_spelled(each) for each in pair.groups())
        yield (key, text) if key is not None and text is not None else None
        at = pair.end() + 1


def _spelled(scalar: str) -> str | None:
    """A scalar so that it means the same in braces; None for null, which Flink takes for no mapping, and what is unsure."""
    scalar = scalar.strip(" ")
    if scalar[0] not in "'\"" and (scalar in _NULL or scalar.endswith(":") or ": " in scalar):
        return None
    if scalar[0] == "'":
        return _in_quotes(scalar[1:-1].replace("''", "'"))
    return scalar if scalar[0] == '"' or _TYPED.fullmatch(scalar) else _in_quotes(scalar)


def _in_quotes(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
