"""Differences between two JSON objects as a merge patch (RFC 7386).

Used for status writes: the patch is what is sent, and an empty one means that nothing is written (the fixed point).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest merge patch that makes `new` out of `old`; empty when they are equal.

    What `new` does not have is removed (null in the patch). Lists are replaced as a whole. A null in `new` is the same
    as absence: a merge patch cannot write null.
    """
    patch: dict[str, Any] = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            inner = merge_patch(before, after)
            if inner:
                patch[key] = inner
        else:
            patch[key] = after
    return patch


def apply_patch(applied: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch by which `kubectl apply` makes an object what a manifest says.

    What was applied before and is in the manifest no more is removed; what others have set is left.
    """
    patch: dict[str, Any] = {name: None for name in applied if name not in new}
    for name, value in new.items():
        before = applied.get(name)
        inner = isinstance(value, Mapping)
        patch[name] = apply_patch(before if isinstance(before, Mapping) else {}, value) if inner else value
    return patch
