"""Reads the audit log of the local kube-apiserver, so that tests can count requests.

One JSON object a line, level Metadata, stage ResponseComplete; a watch is logged when it ends.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEvent:
    """One request: `resource` is `resource` or `resource/subresource`, `code` the HTTP status."""

    time: datetime
    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    uri: str


def audit_events(log: Path, offset: int = 0) -> Iterator[AuditEvent]:
    """The requests in `log` from byte `offset` on; an incomplete last line is left out."""
    if not log.exists():
        return
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield _parse(json.loads(line))


def _parse(raw: dict[str, object]) -> AuditEvent:
    def part(name: str) -> dict[str, str]:
        value = raw.get(name)
        return value if isinstance(value, dict) else {}

    target = part("objectRef")
    kind, sub = target.get("resource", ""), target.get("subresource", "")
    return AuditEvent(
        time=datetime.fromisoformat(str(raw["requestReceivedTimestamp"]).replace("Z", "+00:00")),
        user=part("user").get("username", ""),
        verb=str(raw["verb"]),
        resource=f"{kind}/{sub}" if sub else kind,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int(part("responseStatus").get("code", 0)),
        uri=str(raw.get("requestURI", "")),
    )
