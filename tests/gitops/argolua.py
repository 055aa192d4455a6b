"""Argo CD's scripts in a Lua 5.1 with the libraries that Argo CD gives them: base, table, package, and time and date of os.

Used by the tests of this directory alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lupa.lua51
import yaml

MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "gitops" / "argocd-cm.yaml"
_SANDBOX = """
local safe = {time = os.time, date = os.date}
package.loaded.os = safe
os, io, string, math, debug, coroutine = nil, nil, nil, nil, nil, nil
dofile, loadfile, loadstring, load, python = nil, nil, nil, nil, nil
for name in pairs(package.loaded) do
  if name ~= "os" and name ~= "table" and name ~= "_G" and name ~= "package" then package.loaded[name] = nil end
end
getmetatable("").__index = nil
"""


def settings() -> dict[str, str]:
    """The keys of the ConfigMap."""
    return dict(yaml.safe_load(MANIFEST.read_text())["data"])


def run(script: str, obj: Mapping[str, Any]) -> Any:
    """What a script returns for an object, as Python values. Raises lupa.lua51.LuaError."""
    lua = lupa.lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute(_SANDBOX)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    return _python(lua.execute(script))


def health(kind: str, obj: Mapping[str, Any]) -> tuple[str, str]:
    """The health of an object and its message."""
    found = run(settings()[f"resource.customizations.health.flinkjob.dev_{kind}"], obj)
    return found["status"], found["message"]


def enabled(obj: Mapping[str, Any]) -> set[str]:
    """The actions that are offered for a FlinkJob."""
    offered = run(_actions()["discovery.lua"], obj)
    return {name for name, state in offered.items() if not state["disabled"]}


def act(name: str, obj: Mapping[str, Any]) -> Any:
    """What an action makes of a FlinkJob: the changed object, or a list of what to do."""
    (script,) = (each["action.lua"] for each in _actions()["definitions"] if each["name"] == name)
    return run(script, obj)


def action_names() -> set[str]:
    """The actions that have a script."""
    return {each["name"] for each in _actions()["definitions"]}


def _actions() -> dict[str, Any]:
    return dict(yaml.safe_load(settings()["resource.customizations.actions.flinkjob.dev_FlinkJob"]))


def _python(value: Any) -> Any:
    if lupa.lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys and keys == list(range(1, len(keys) + 1)):
        return [_python(value[key]) for key in keys]
    return {key: _python(value[key]) for key in keys}
