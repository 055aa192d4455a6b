"""The operator as a whole, as far as it can be seen without a cluster."""

from __future__ import annotations

import getpass
from typing import Any, cast

import kopf
import pytest

from flinkjob.app import App
from flinkjob.kube.client import KubeClient
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.first_list import FirstList
from flinkjob.settings import Settings


async def test_the_user_of_a_pod_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf would ask for it, and fail where the user has no entry in the passwd file."""
    given: dict[str, Any] = {}

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    async def operator(**named: Any) -> None:
        given.update(named)

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr(kopf, "operator", operator)
    app = App(Settings())
    app._cache = ObjectCache()
    await app._watch(FirstList(cast("KubeClient", None), app._cache, app._enqueue))
    assert given["identity"] == "flinkjob-operator"
