"""Kopf's own connection to the API server, with the same credentials as the operator's client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kopf

from flinkjob.kube.connection import load_configuration


def login_handler(registry: kopf.OperatorRegistry, kubeconfig: Path | None) -> None:
    """Register the login, which Kopf calls again when the API server refuses what it had.

    Args:
        kubeconfig: a file; None: the Pod's ServiceAccount, or where there is none, the user's kubeconfig.
    """

    @kopf.on.login(id="login", registry=registry)
    async def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
        loaded = await load_configuration(kubeconfig)
        scheme, _space, token = loaded.api_key.get("BearerToken", "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=loaded.host,
            ca_path=loaded.ssl_ca_cert,
            insecure=not loaded.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=loaded.cert_file,
            private_key_path=loaded.key_file,
            proxy_url=loaded.proxy,
            trust_env=settings.networking.trust_env,
        )
