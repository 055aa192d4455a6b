"""What servers of jars and scripts ask for, from the Secrets that specs name.

Given to the artifact store. Invariants: a Secret is read only in the namespace of the FlinkJob that names it, and only if it
says that it is meant for this; it is sent over http only where the administrator allows that; nothing of it is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flinkjob.core.errors import Transient
from flinkjob.runtime.access import Reader, Use, Vault, authorization, check_scheme, header_value, required

_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_NOT_ONES_OWN: Final = re.compile(
    r"(accept|accept-encoding|connection|content-.*|cookie2?|expect|host|if-.*|keep-alive|proxy-.*|range|te|trailer|"
    r"transfer-encoding|upgrade|via)"
)
"""Headers by which a request would become another one."""


class SourceAccesses:
    """What namespaces may use of artifact servers."""

    def __init__(self, *, reader: Reader, plain: bool) -> None:
        """
        Args:
            plain: whether credentials may be sent over http, where everybody on the way can read them.
        """
        self._reader = reader
        self._plain = plain
        self._vaults: dict[str, Vault] = {}

    async def headers(self, namespace: str, secret: str, url: str) -> Mapping[str, str]:
        """The headers of a request to an http server.

        Raises:
            Transient: the Secret cannot be read, is not meant for this, or must not be sent over http.
        """
        check_scheme(urlsplit(url).scheme, secret, plain=self._plain)
        vault = self._vaults.setdefault(namespace, Vault(self._reader, namespace))
        data = await vault.secret(secret, Use.ARTIFACT)
        if "header" not in data:
            return {"Authorization": authorization(data, secret)}
        name = data["header"].decode(errors="replace").strip()
        if not _HEADER.fullmatch(name) or _NOT_ONES_OWN.fullmatch(name.lower()):
            raise Transient("credentials", f"Secret {secret}: header is not the name of one that can be sent")
        value = required(data, "value", f"Secret {secret}").strip()
        return {name: header_value(value, f"Secret {secret}: value")}
