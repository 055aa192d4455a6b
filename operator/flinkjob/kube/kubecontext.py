"""Which API server a person means, and by which name that person's changes go: known before the client is needed.

Apart from `user`, whose imports take longer than most of what a shell asks for while somebody types.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MANAGER = "flinkjob-plugin"
"""The field manager. Flux takes away what managers have whose names begin with kubectl."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KubeContext:
    """Which API server, and which part of it.

    Attributes:
        kubeconfig: a file; None: what KUBECONFIG names, else ~/.kube/config, else the Pod's ServiceAccount.
        context: one of the kubeconfig; None: its current one.
        namespace: None: that of the context.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
