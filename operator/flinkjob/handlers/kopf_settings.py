"""Kopf's settings for a watch engine that patches nothing on its own; the measured reasons are in the design notes."""

from __future__ import annotations

import kopf

from flinkjob.api.constants import GROUP


class _NoDiffs(kopf.DiffBaseStorage):
    """Kopf makes deep copies of each object to compare it with its earlier self; no handler here asks for the difference."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is kept."""


def operator_settings() -> kopf.OperatorSettings:
    """Settings that keep watches short, lists paged and Kopf's own writes off."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.queueing.idle_timeout = 1
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.finalizer = f"{GROUP}/kopf"
    settings.process.ultimate_exiting_timeout = 60
    return settings
