"""Leaves out what libraries import along and nothing here uses: else it is a fifth of the operator's memory.

It is done when this module is imported, by `__main__` before all others of the operator. Invariant: no call of the operator
needs what is left out.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any, Final

LEFT_OUT: Final = {"httpx": "httpx._main", "kubernetes": "kubernetes.client"}
"""By library: the command line of httpx, which brings rich where that is there; the client of kubernetes without asyncio,
whose models Kopf takes where they are there. Both libraries are made to go without."""
BARE: Final = ("kubernetes", "kubernetes.aio")
"""Packages that are made without running their `__init__`, which imports all of their parts: two of these are used."""


def leave_out() -> None:
    """Do it, for each library that is not imported yet."""
    modules: dict[str, Any] = sys.modules
    for library, part in LEFT_OUT.items():
        if library not in modules:
            modules[part] = None  # so that importing it fails, as if it were not there
    for name in BARE:
        parent = modules.get(name.rpartition(".")[0])
        spec = PathFinder.find_spec(name, getattr(parent, "__path__", None))
        if spec is not None and name not in modules:
            modules[name] = module_from_spec(spec)


leave_out()
