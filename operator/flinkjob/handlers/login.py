"""Kopf's own connection to the API server, with the same credentials as the operator's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kopf


def login_handler(registry: kopf.OperatorRegistry, kubeconfig: Path | None) -> None:
    """Register the login: the kubeconfig given, else the Pod's ServiceAccount, else the user's kubeconfig."""

    @kopf.on.login(id="login", registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        if kubeconfig is not None:
            return _from_file(kubeconfig, **kwargs)
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _from_file(kubeconfig: Path, **kwargs: Any) -> kopf.ConnectionInfo | None:
    import os

    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(kubeconfig)
    try:
        return kopf.login_with_kubeconfig(**kwargs)
    finally:
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before
