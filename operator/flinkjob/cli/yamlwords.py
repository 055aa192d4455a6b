"""What kubectl's YAML reads in a word without quotes: YAML 1.1 has several readings, and Python's is another one.

Used to read manifests as the API server will get them, and to quote what would otherwise be read as something else.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

BOOL_TAG: Final = "tag:yaml.org,2002:bool"
NUMBER_TAG: Final = "tag:yaml.org,2002:int"
"""One tag for both kinds of numbers: JSON has one."""
_OTHERS: Final = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float", BOOL_TAG, NUMBER_TAG)
BOOL: Final = re.compile(r"(?:[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)\Z")
_WHOLE: Final = re.compile(r"[-+]?(?:0[bB][01_]+|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|[0-9][0-9_]*)\Z")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
NUMBER: Final = re.compile(f"(?:{_WHOLE.pattern[:-2]}|{_FLOAT.pattern[:-2]})\\Z")
_LARGEST: Final = 1e21
"""From here on JSON has an exponent, which no whole number has."""


def read_as_kubectl(loader: type[yaml.SafeLoader]) -> None:
    """Makes a loader read words as kubectl does."""
    kept = yaml.SafeLoader.yaml_implicit_resolvers
    loader.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] not in _OTHERS] for first, resolvers in kept.items()
    }
    _resolve(loader)
    loader.add_constructor(BOOL_TAG, _bool)
    loader.add_constructor(NUMBER_TAG, _number)


def quote_for_kubectl(dumper: type[yaml.SafeDumper]) -> None:
    """Makes a dumper quote texts that kubectl or another reader would take for something else."""
    dumper.yaml_implicit_resolvers = {
        first: list(each) for first, each in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }
    _resolve(dumper)


def _resolve(kind: Any) -> None:
    kind.add_implicit_resolver(BOOL_TAG, BOOL, list("yYnNtTfFoO"))
    kind.add_implicit_resolver(NUMBER_TAG, NUMBER, list("-+.0123456789"))


def _bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in ("y", "yes", "true", "on")


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    """The number; the text itself where it is too large to be one."""
    text = str(loader.construct_scalar(node))
    plain = text.replace("_", "")
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-").lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2])
    try:
        if base is not None:
            return sign * int(digits[2:], base)
        if len(digits) > 1 and digits.isdecimal() and digits[0] == "0" and not set(digits) & set("89"):
            return sign * int(digits, 8)
        if digits.isdecimal() and len(digits) < 19:
            return sign * int(digits)
        found = sign * float(digits)
    except ValueError:
        return text
    if found in (float("inf"), float("-inf")):
        return text
    return int(found) if found.is_integer() and abs(found) < _LARGEST else found
