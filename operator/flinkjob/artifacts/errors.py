"""What can be wrong with an artifact, as errors of the operator's own tree.

    core.errors.Transient
    └── ArtifactUnavailable   time-out, cut off, 429, 5xx, refused connection, full disk: try again later
    core.errors.Invalid
    └── ArtifactInvalid       404, 401, 403, digest mismatch, too large, not a zip, host or directory not allowed

Raised only by this package. Messages are one line, name the URL without userinfo and query, and begin with `jar: `.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flinkjob.core.errors import Invalid, Transient


class ArtifactUnavailable(Transient):
    """The artifact could not be had now."""


class ArtifactInvalid(Invalid):
    """The artifact cannot be used; nothing helps but to change the reference, or what it points to.

    Attributes:
        reason: one lower-case word or words joined by "-", for metrics and decisions ("not-found", "digest-mismatch").
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def shown(uri: str) -> str:
    """The URI as it may be printed: no userinfo, query or fragment."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not a URL)"
    if parts.scheme == "maven":
        return uri
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"
