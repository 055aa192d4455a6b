"""What all sources have in common: metadata, jars, and how a running job is moved with its state."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flinkjob.api.constants import API_VERSION, GITOPS_MARKS, JOB_KIND, MAX_JOB_NAME
from flinkjob.cli.migrate.fields import Fields, Migration, Weight, nested, without_empty

PLACE: Final = "https://jars.example.com"
"""Where a person puts a jar that the operator cannot fetch from where it is."""
PYTHON_BY_HAND: Final = (
    "the files of a Python program are in the image, where the operator cannot see them: not migrated; write a FlinkJob with "
    "spec.python, which gives them as texts, ConfigMaps or addresses, on a cluster whose image has PyFlink"
)
_NOT_KEPT: Final = ("kubectl.kubernetes.io/last-applied-configuration", *GITOPS_MARKS)
_OF_SERVER: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "finalizers",
)


def metadata(migration: Migration, longest: int = MAX_JOB_NAME) -> dict[str, Any]:
    """Name, namespace, labels and annotations of the source."""
    meta = Fields(migration.source.body.get("metadata"), "metadata", migration)
    name = str(meta.take("name", ""))
    made: dict[str, Any] = {"name": name}
    if len(name) > longest:
        made["name"] = name[:longest].rstrip("-.")
        meta.note(Weight.MUST, "name", f"has more than {longest} characters; it is cut, so check that it is unique")
    if (namespace := meta.take("namespace")) is not None:
        made["namespace"] = namespace
    for kind in ("labels", "annotations"):
        found = meta.take(kind)
        kept = (
            {key: value for key, value in found.items() if key not in _NOT_KEPT} if isinstance(found, Mapping) else {}
        )
        if kept:
            made[kind] = kept
    for each in _OF_SERVER:
        meta.take(each)
    if meta.take("ownerReferences") is not None:
        meta.note(Weight.LOST, "ownerReferences", "whoever created the source makes the new object now")
    meta.leave()
    return made


def flinkjob(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a FlinkJob."""
    return {"apiVersion": API_VERSION, "kind": JOB_KIND, "metadata": dict(meta), "spec": without_empty(spec)}


def runs_job(migration: Migration) -> bool:
    """Whether a cluster has a job of its own; one without is only noted."""
    if nested(migration.source.body, "spec", "job"):
        return True
    migration.note(Weight.CHECK, "", "is a session cluster without a job: it stays as it is, for FlinkJobs to use")
    return False


def session_name(meta: Mapping[str, Any]) -> str:
    """The name of the cluster that is made of one with a job."""
    return f"{meta['name']}-session"


def apart(
    migration: Migration, meta: Mapping[str, Any], spec: Mapping[str, Any], fields: Fields, of_job: Sequence[str]
) -> dict[str, Any]:
    """A cluster with a job becomes the cluster without it, which is returned, and a FlinkJob on it.

    Args:
        of_job: the fields of the cluster's spec that belong to the job.
    """
    name, body = session_name(meta), migration.source.body
    cluster: dict[str, Any] = copy.deepcopy(dict(body))
    cluster["metadata"] = {**{key: meta[key] for key in ("namespace", "labels") if key in meta}, "name": name}
    for each in of_job:
        cluster["spec"].pop(each, None)
    cluster.pop("status", None)
    fields.rest()  # all of it is in the cluster
    migration.made += [cluster, flinkjob(meta, spec)]
    words = f"ran in a cluster of its own, which is {body['kind']} {name} now, without the job: it can take many"
    migration.note(Weight.CHECK, "spec", words)
    return cluster


def jar(fields: Fields, name: str, uri: Any) -> dict[str, Any]:
    """`spec.jar` for the address of a source; what the operator cannot fetch gets a place to fill in."""
    if not uri:
        fields.note(
            Weight.MUST, name, f"no jar is named: put the one that has the program at {PLACE}, or where you like"
        )
        return {"uri": f"{PLACE}/job.jar"}
    text = str(uri)
    scheme, colon, rest = text.partition("://")
    file = text.rstrip("/").rsplit("/", 1)[-1] or "job.jar"
    if colon and scheme in ("https", "http"):
        if scheme == "http":
            fields.note(Weight.CHECK, name, "comes without TLS: give jar.sha256, so that only this jar runs")
        return {"uri": text}
    if not colon or scheme in ("local", "file"):
        path = rest if colon else text
        words = f"is a path in the image, and the operator fetches the jar itself: publish {file} and name its address"
        fields.note(
            Weight.MUST, name, f"{words}, or mount {path} into the operator (--artifact-dirs) and write file://"
        )
    else:
        words = f"a jar is fetched by https, http or file, not {scheme}: publish {file} at one of them"
        fields.note(Weight.MUST, name, words)
    return {"uri": f"{PLACE}/{file}"}


def initial_state(location: Any, nonce: Any = None) -> dict[str, Any]:
    """`spec.initialState` for a savepoint that the source names."""
    made: dict[str, Any] = {"strategy": "Custom", "location": str(location)} if location else {}
    if nonce is not None:
        made["nonce"] = nonce
    return made


def by_savepoint(kind: str, name: str, new: str, how: str, found: str) -> list[str]:
    """How to move a job with a savepoint.

    Args:
        how: what makes the other operator stop the job with a savepoint.
        found: how to read where the savepoint is.
    """
    return [
        f"Move {kind} {name} with a savepoint (the job stands still meanwhile):",
        f"  1. {how}",
        f"  2. {found}",
        "  3. write it into the new manifest: spec.initialState: {strategy: Custom, location: LOCATION},",
        "     and take spec.state: Suspended out of it",
        f"  4. apply the new manifest; kubectl flinkjob status {new} -w shows that it was restored from there",
        f"  5. only then delete {kind} {name}, and take it out of Git",
    ]
