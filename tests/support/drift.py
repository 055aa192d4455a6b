"""That an object is still what its manifest says, after the operator has done its work: what GitOps tools look at.

Used by the integration suite, on the examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from deploy.local.controlplane import ControlPlane
from deploy.local.processes import ProcessFailed
from flinkjob.api.constants import ANNOTATION_RESULT, FINALIZER
from tests.support.kube import Kube, Object

APPLIER = "test"
"""The field manager of `Kube.apply`."""
ALLOWED = {
    ("f:metadata", "f:finalizers"),
    ("f:metadata", "f:annotations", f"f:{ANNOTATION_RESULT}"),
    ("f:status",),
}


def assert_no_drift(control_plane: ControlPlane, kube: Kube, manifest: Object) -> None:
    """Asserts that both sorts of `kubectl diff` show nothing, and that others than its author own nothing of it but status.

    Args:
        manifest: as it was given to `Kube.apply`; the object has been reconciled.

    Raises:
        AssertionError: somebody else owns a field, or the operator a label or an annotation that is not its own.
        ProcessFailed: kubectl shows a difference; the message holds it.
    """
    meta = manifest["metadata"]
    _assert_no_difference(control_plane, kube, manifest)
    _assert_no_difference(
        control_plane, kube, manifest, "--server-side", f"--field-manager={APPLIER}", "--force-conflicts"
    )
    found = kube.get(manifest["kind"], meta["namespace"], meta["name"])
    assert found is not None
    others = {
        (entry["manager"], path)
        for entry in found["metadata"]["managedFields"]
        if entry["manager"] != APPLIER
        for path in _paths(entry["fieldsV1"])
        if not any(path[: len(start)] == start for start in ALLOWED)
    }
    assert others == set(), f"{manifest['kind']} {meta['name']}"
    assert found["metadata"].get("labels", {}) == meta.get("labels", {})
    assert set(found["metadata"].get("annotations", {})) - {ANNOTATION_RESULT} == set(meta.get("annotations", {}))
    assert set(found["metadata"].get("finalizers", ())) <= {FINALIZER}


def _assert_no_difference(control_plane: ControlPlane, kube: Kube, manifest: Object, *options: str) -> None:
    """`kubectl diff` reads the object and then tries the change: what the operator writes between the two is shown too.

    So a difference counts where the object stayed as it was meanwhile.
    """
    meta = manifest["metadata"]

    def version() -> str | None:
        found = kube.get(manifest["kind"], meta["namespace"], meta["name"])
        return found and found["metadata"]["resourceVersion"]

    while True:
        before = version()
        try:
            control_plane.kubectl("diff", *options, "-f", "-", stdin=yaml.safe_dump(manifest))
            return
        except ProcessFailed:
            if version() == before:
                raise


def _paths(fields: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every field that is owned, as the path of its names; the maps around it are not counted, since they come with it."""
    for name, below in fields.items():
        if name == ".":
            continue
        path = (*above, name)
        if below and set(below) != {"."}:
            yield from _paths(below, path)
        elif above or below != {}:
            yield path
