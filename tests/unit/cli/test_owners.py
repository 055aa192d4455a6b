"""Which tool applies an object, and whether a change of it by hand stays."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.cli.owners import applier_of, warnings


def marked(
    labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, *managed: Any
) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "clicks", "namespace": "shop", "labels": labels, "annotations": annotations}
    return {"metadata": meta | {"managedFields": list(managed)}}


def managed(manager: str, *fields: str, **more: str) -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": {"f:spec": {f"f:{each}": {} for each in fields}}, **more}


ARGO = {"argocd.argoproj.io/tracking-id": "shop:flinkjob.dev/FlinkJob:shop/clicks"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (marked(annotations=ARGO), "Argo CD (application shop)"),
        (marked({"argocd.argoproj.io/instance": "shop"}), "Argo CD (application shop)"),
        (marked({"kustomize.toolkit.fluxcd.io/name": "apps"}), "Flux (Kustomization apps)"),
        (
            marked({"helm.toolkit.fluxcd.io/name": "release"}, {"meta.helm.sh/release-name": "r"}),
            "Flux (HelmRelease release)",
        ),
        (marked(None, {"meta.helm.sh/release-name": "jobs"}), "Helm (release jobs)"),
        (marked(None, None, managed("argocd-controller", "state")), "Argo CD"),
        (marked(None, None, managed("kustomize-controller", "jar")), "Flux"),
        (marked(None, None, managed("helm", "jar")), "Helm"),
    ],
)
def test_each_tool_is_known_by_its_marks(found: dict[str, Any], words: str) -> None:
    owner = applier_of(found)
    assert owner is not None
    assert owner.words == words


@pytest.mark.parametrize(
    "found",
    [
        {},
        marked(),
        marked({"app.kubernetes.io/managed-by": "me"}, None, managed("kubectl-edit", "state")),
        marked(None, None, managed("argocd-controller", "state", subresource="status")),
    ],
)
def test_what_people_apply_is_nobodys(found: dict[str, Any]) -> None:
    assert applier_of(found) is None
    assert warnings(found, ["state"]) == []


def test_a_field_that_the_tool_sets_is_set_back_and_where_to_change_it_is_said() -> None:
    [words] = warnings(marked(None, ARGO, managed("argocd-controller", "state", "jar")), ["state"])
    undone = "Argo CD (application shop) applies this object and sets it back when it syncs"
    assert words == f"{undone}: change spec.state in the manifest in Git"
    by_flux = marked({"helm.toolkit.fluxcd.io/name": "r"}, None, managed("helm-controller", "jar", "args"))
    [words] = warnings(by_flux, ["args", "jar"])
    where = "change spec.args and spec.jar in the HelmRelease's values in Git"
    assert words.endswith(f"sets them back when it syncs: {where}")
    [words] = warnings(marked(None, {"meta.helm.sh/release-name": "jobs"}), ["parallelism"])
    assert "at its next upgrade: change spec.parallelism in the chart's values, and upgrade the release" in words


def test_a_field_that_the_tool_does_not_set_stays() -> None:
    assert warnings(marked(None, ARGO, managed("argocd-controller", "jar")), ["parallelism"]) == []


def test_what_this_plugin_changed_before_is_the_tools_all_the_same() -> None:
    """Who changes a field takes it over, so that the tool seems not to set it any more; it does, when it syncs next."""
    found = marked(None, ARGO, managed("argocd-controller", "jar"), managed("flinkjob-plugin", "state"))
    assert len(warnings(found, ["state"])) == 1
    assert warnings(found, ["parallelism"]) == []


def test_where_it_is_not_known_what_the_tool_sets_it_is_warned() -> None:
    assert len(warnings(marked(None, ARGO, managed("someone", "jar")), ["parallelism"])) == 1
