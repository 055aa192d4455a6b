"""What the API server can answer, as errors of the operator's own tree.

    core.errors.Transient
    └── KubeUnavailable        429, 5xx, refused, cut off or timed out, after the bounded retries
    core.errors.Rejected
    └── KubeRejected           any other definite no (400, 405, 415, 422 …)
        ├── Conflict           409 on a write, or a JSON patch whose `test` failed: the object was changed meanwhile
        ├── Gone               404: the object is not there (any more)
        ├── AlreadyExists      409 on a create
        ├── Forbidden          403: RBAC, or admission
        │   └── NamespaceTerminating   403 on a create, because the namespace is being deleted
        └── NotServed          404 on the API group: the CRDs are not installed

Raised only by this package; `runtime` maps them to outcomes. Messages never hold a body that was sent.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from flinkjob.core.errors import Rejected, Transient

EXPIRED: Final = 410
"""The code of a `Gone` where the API server knows a version no more, from which a list or a watch was to go on."""


class KubeUnavailable(Transient):
    """The API server could not be asked, or was too busy to answer."""


class KubeRejected(Rejected):
    """The API server understood and said no."""


class Conflict(KubeRejected):
    """The object is not the one that the decision was made on."""


class Gone(KubeRejected):
    """The object does not exist."""


class AlreadyExists(KubeRejected):
    """An object of this name exists."""


class Forbidden(KubeRejected):
    """The operator's ServiceAccount may not do this."""


class NamespaceTerminating(Forbidden):
    """Nothing can be created any more in a namespace that is being deleted."""


class NotServed(KubeRejected):
    """The API server does not serve this API group and version."""


def rejection(status: int, body: bytes, what: str) -> KubeRejected:
    """The error for a definite no.

    Args:
        status: HTTP status, 4xx but not 429.
        body: the answer, normally a `meta/v1 Status`; anything else is not quoted.
        what: what was asked for, as `patch flinkjobs/status apps/clicks`.
    """
    answer = _status_object(body)
    reason = str(answer.get("reason") or "")
    detail = str(answer.get("message") or "") or f"HTTP {status}"
    message = f"{what}: {detail}"
    match status, reason:
        case 403, _ if _terminating(answer):
            return NamespaceTerminating(status, message)
        case 403, _:
            return Forbidden(status, message)
        case 404 | 410, _:
            return Gone(status, message)
        case 409, "AlreadyExists":
            return AlreadyExists(status, message)
        case 409, _:
            return Conflict(status, message)
        case 422, _ if not _causes(answer):  # measured on 1.37: an invalid object always has causes, a failed test none
            return Conflict(status, f"{what}: the object was changed meanwhile")
        case _:
            return KubeRejected(status, message, permanent=status in (400, 422))


def is_own_answer(body: bytes) -> bool:
    """Whether an error is the API server's own, and not that of a Service behind its proxy."""
    answer = _status_object(body)
    return answer.get("kind") == "Status" and answer.get("apiVersion") == "v1"


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _causes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return (answer.get("details") or {}).get("causes") or []


def _terminating(answer: dict[str, Any]) -> bool:
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(answer))
