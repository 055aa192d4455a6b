"""The pages that the chart installs: only where they are asked for, without Secrets, reached by the proxy alone."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.local.helm import NAMESPACE, RELEASE, Helm

ENABLED = "--set=ui.enabled=true"
NAMES = "--set=namespaces={team-a,team-b}"
PROXY = '--set-json=ui.from=[{"podSelector": {"matchLabels": {"app": "proxy"}}}]'


def of_pages(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that belong to the pages."""
    return [each for each in objects if each["metadata"]["name"].endswith("-ui")]


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one of this kind."""
    (found,) = (each for each in objects if each["kind"] == kind)
    return found


def test_there_are_none_unless_they_are_asked_for(helm: Helm) -> None:
    assert of_pages(helm.template()) == []
    kinds = {each["kind"] for each in of_pages(helm.template(ENABLED))}
    assert kinds >= {"ServiceAccount", "Deployment", "Service", "NetworkPolicy"}


@pytest.mark.threat("page-for-all")
@pytest.mark.parametrize("settings", [[], [NAMES], ["--set=secretAccess=WhereBound"]])
def test_their_account_only_reads_and_reads_no_secret(helm: Helm, settings: list[str]) -> None:
    objects = of_pages(helm.template(ENABLED, *settings))
    kind, places = ("Role", ["team-a", "team-b"]) if NAMES in settings else ("ClusterRole", [None])
    roles = [each for each in objects if each["kind"] in ("Role", "ClusterRole")]
    assert [(each["kind"], each["metadata"].get("namespace")) for each in roles] == [(kind, place) for place in places]
    for role in roles:
        granted = {
            (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
        assert granted == {
            *((kind, verb) for kind in ("flinkjobs", "flinksavepoints") for verb in ("get", "list", "watch")),
            ("events", "list"),
        }
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    subjects = [subject for each in objects for subject in each.get("subjects", ())]
    assert subjects == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}] * len(places)
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == account


@pytest.mark.threat("page-for-all")
def test_only_the_proxy_reaches_them(helm: Helm) -> None:
    assert one(of_pages(helm.template(ENABLED)), "NetworkPolicy")["spec"]["ingress"] == []
    policy = one(of_pages(helm.template(ENABLED, PROXY)), "NetworkPolicy")["spec"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app": "proxy"}}}]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_what_is_for_the_operator_is_not_for_them(helm: Helm) -> None:
    """No Service, policy or budget of the operator selects the Pods of the pages, nor the other way round."""
    objects = helm.template(ENABLED, "--set=monitoring.serviceMonitor.enabled=true")
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    pods = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in deployments}
    assert len(pods) == 2
    assert {each["app.kubernetes.io/instance"] for each in pods.values()} == {RELEASE}
    selecting = {"Service": "selector", "NetworkPolicy": "podSelector", "PodDisruptionBudget": "selector"}
    for each in objects:
        if each["kind"] in selecting:
            found = each["spec"][selecting[each["kind"]]]
            wanted = (found.get("matchLabels") or found).items()
            chosen = [name for name, labels in pods.items() if wanted <= labels.items()]
            assert len(chosen) == 1
            assert chosen[0].endswith("-ui") == each["metadata"]["name"].endswith("-ui")
