"""What the chart renders to: accepted by the API server and by kubeconform, the same as Kustomize, wrong values refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import generated
from deploy.local.controlplane import ControlPlane
from deploy.local.helm import CHART, NAMESPACE, Helm, kubeconform
from deploy.local.processes import ProcessFailed
from deploy.local.release import build_chart, release
from flinkjob.core.shards import LeaseNames
from flinkjob.settings import Settings, load

pytestmark = pytest.mark.kube

VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
KUSTOMIZE = CHART.parent / "kustomize"
OURS = ("app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart")
Objects = list[dict[str, Any]]


def hooks(found: dict[str, Any]) -> bool:
    return "helm.sh/hook" in found["metadata"].get("annotations", {})


def pods(objects: Objects) -> Iterator[dict[str, Any]]:
    for found in objects:
        if found["kind"] in ("Deployment", "Job"):
            yield found["spec"]["template"]["spec"]


def test_lint(helm: Helm) -> None:
    for values in VALUES:
        said = helm.run("lint", "--strict", CHART, "--values", values)
        assert "0 chart(s) failed" in said
        assert "WARNING" not in said


def test_the_packed_chart_renders_the_same(helm: Helm, tmp_path: Path) -> None:
    of = release(tmp_path)
    build_chart(of)
    assert f"version: {of.version}\n" in helm.run("show", "chart", of.chart)
    values = ("--values", VALUES[-1])
    assert helm.template(*values, chart=of.chart) == helm.template(*values)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_object(
    bare: ControlPlane, helm: Helm, values: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objects = helm.template("--values", values)
    text = yaml.safe_dump_all(objects)
    accepted = bare.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=text
    )
    assert len(accepted.split()) == len(objects)
    with capsys.disabled():
        print(f"\n  {values.stem}: {len(objects)} objects accepted by the API server")


@pytest.mark.threat("container-escape")
@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_pod_passes_the_restricted_standard(bare: ControlPlane, helm: Helm, values: Path) -> None:
    for spec in pods(helm.template("--values", values)):
        pod = {key: value for key, value in spec.items() if key != "serviceAccountName"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": NAMESPACE}, "spec": pod}
        bare.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(body))
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"]
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert not security["allowPrivilegeEscalation"]


def test_an_unrestricted_pod_would_be_refused_there(bare: ControlPlane) -> None:
    """The two tests above say something only where this one passes."""
    pod = {"containers": [{"name": "c", "image": "i"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": NAMESPACE}, "spec": pod}
    with pytest.raises(ProcessFailed, match='violates PodSecurity "restricted'):
        bare.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(body))


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_kubeconform(schemas: Path, helm: Helm, values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = [found for found in helm.template("--values", values) if found["kind"] != "CustomResourceDefinition"]
    summary = kubeconform(schemas, objects)
    assert f"{len(objects)} resources found" in summary
    assert "Skipped: 0" in summary
    with capsys.disabled():
        print(f"\n  {values.stem}: {summary}")


def test_kubeconform_sees_a_fault(schemas: Path, helm: Helm) -> None:
    (deployment,) = (found for found in helm.template() if found["kind"] == "Deployment")
    deployment["spec"]["replica"] = 2
    with pytest.raises(ProcessFailed, match="replica"):
        kubeconform(schemas, [deployment])


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_operator_understands_its_arguments(helm: Helm, values: Path) -> None:
    settings = operator_settings(helm, "--values", values)
    given = yaml.safe_load(values.read_text())
    assert settings.namespaces == tuple(given.get("namespaces", ()))
    for name, value in given.get("operator", {}).items():
        field = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        if field in Settings.model_fields:
            found = getattr(settings, field)
            if field == "variables_config_map":  # of the namespace of the release
                value = f"{settings.lease_namespace}/{value}"
            assert [str(each) for each in found] == value if isinstance(value, list) else found == value


def test_the_operator_may_have_the_leases_of_its_shards_and_no_others(helm: Helm) -> None:
    def of_leases(*values: str) -> list[tuple[list[str], list[str]]]:
        roles = [each for each in helm.template(*values) if each["kind"] == "Role"]
        rules = [rule for role in roles for rule in role["rules"] if "leases" in rule["resources"]]
        return [(rule["verbs"], rule.get("resourceNames", [])) for rule in rules if rule["verbs"] != ["delete"]]

    assert of_leases() == [(["create"], []), (["get", "update"], LeaseNames("flinkjob-operator-default", 1).all())]
    listed, named = of_leases("--set=operator.shards=4,operator.identity=team")
    assert listed == (["create", "list"], [])
    assert named[0] == ["get", "update"]
    assert sorted(named[1]) == sorted(LeaseNames("flinkjob-operator-team", 4).all())


def operator_settings(helm: Helm, *arguments: str | Path) -> Settings:
    containers = [each for spec in pods(helm.template(*arguments)) for each in spec["containers"]]
    (container,) = (each for each in containers if each["name"] == "operator")
    return load([argument.replace("$(POD_NAMESPACE)", NAMESPACE) for argument in container["args"]])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("replicas=many", "replicas"),
        ("operator.logLevel=LOUD", "logLevel"),
        ("image.digest=latest", "digest"),
        ("namespaces={Team_A}", "namespaces"),
        ("secretAccess=Nowhere", "secretAccess"),
        ("cacheSize=8Gi", "ephemeral-storage"),
        ("replica=2", "replica"),
        ("operator.shards=1000", "shards"),
        ("operator.shards=2,replicas=3", "shards"),
        (f"operator.shards=2,operator.identity={'x' * 46}", "identity must have at most 45"),
        ("operator.artifactDirs={jars}", "artifactDirs"),
        ("monitoring.serviceMonitor.interval=often", "interval"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, setting: str, message: str) -> None:
    with pytest.raises(ProcessFailed, match=message):
        helm.template("--set", setting)


@pytest.mark.threat("misused-account")
def test_named_namespaces_get_no_cluster_wide_rights(helm: Helm) -> None:
    objects = [
        found for found in helm.template("--values", CHART / "ci" / "namespaces-values.yaml") if not hooks(found)
    ]
    assert not [found for found in objects if found["kind"] in ("ClusterRole", "ClusterRoleBinding")]
    roles = [found["metadata"] for found in objects if found["kind"] == "Role"]
    places = ["team-a", "team-b"]
    assert sorted(each["namespace"] for each in roles if each["name"].endswith("-ui")) == places
    assert sorted(each["namespace"] for each in roles if not each["name"].endswith("-ui")) == [NAMESPACE, *places]


@pytest.mark.threat("misused-account", "foreign-secret")
@pytest.mark.parametrize("settings", [[], ["--set=namespaces={team-a,team-b}"]])
def test_secrets_are_read_only_where_a_namespace_binds_the_role(helm: Helm, settings: list[str]) -> None:
    objects = [
        found for found in helm.template("--set=secretAccess=WhereBound", *settings) if "rbac" in found["apiVersion"]
    ]
    reading = {
        (found["kind"], found["metadata"]["name"])
        for found in objects
        if any("secrets" in rule["resources"] for rule in found.get("rules", ()))
    }
    assert reading == {("ClusterRole", "flinkjob-operator-secrets")}
    assert "flinkjob-operator-secrets" not in [found["roleRef"]["name"] for found in objects if "roleRef" in found]


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_container_has_limits_for_memory_and_disk(helm: Helm, values: Path) -> None:
    """The kubelet evicts a Pod whose volumes and logs together have more than the limits of its containers."""
    for spec in pods(helm.template("--values", values)):
        (container,) = spec["containers"]
        limits = container["resources"]["limits"]
        volumes = [mib(each["emptyDir"]["sizeLimit"]) for each in spec["volumes"] if "emptyDir" in each]
        assert mib(limits["memory"]) > 0
        assert mib(limits["ephemeral-storage"]) > sum(volumes) > 0


def mib(quantity: str) -> int:
    """A quantity in MiB."""
    return int(quantity.removesuffix("Gi")) * 1024 if quantity.endswith("Gi") else int(quantity.removesuffix("Mi"))


def test_a_digest_pins_the_image(helm: Helm) -> None:
    for spec in pods(helm.template("--values", CHART / "ci" / "everything-values.yaml")):
        assert spec["containers"][0]["image"] == f"registry.example.com/flinkjob-operator@sha256:{'0' * 64}"


def test_the_definitions_stay_unless_they_are_asked_to_go(helm: Helm) -> None:
    for keep, policy in ((True, "keep"), (False, None)):
        for found in helm.template("--set", f"crds.keep={str(keep).lower()}"):
            if found["kind"] == "CustomResourceDefinition":
                assert found["metadata"]["annotations"].get("helm.sh/resource-policy") == policy


def canonical(objects: Objects) -> dict[str, str]:
    """Objects by kind, namespace and name, without what only Helm or only Kustomize writes."""
    found: dict[str, str] = {}
    for each in objects:
        if each["kind"] == "Namespace" or hooks(each):
            continue
        meta = each["metadata"]
        if each["kind"] == "CustomResourceDefinition":
            meta.pop("annotations", None)
            meta.pop("labels", None)
        name = f"{each['kind']}/{meta.get('namespace', '')}/{meta['name']}"
        found[name] = json.dumps(strip(each), sort_keys=True, indent=1)
    return found


def strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strip(inner) for key, inner in value.items() if key not in OURS}
    return [strip(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("overlay", "settings"),
    [
        ("base", []),
        ("overlays/namespaces", ["--set=namespaces={team-a}"]),
        ("overlays/bound-secrets", ["--set=secretAccess=WhereBound"]),
        (
            "overlays/monitoring",
            [
                "--set=monitoring.serviceMonitor.enabled=true",
                "--set=monitoring.prometheusRule.enabled=true",
                "--set=monitoring.dashboard.enabled=true",
            ],
        ),
    ],
)
def test_kustomize_gives_the_same_objects(bare: ControlPlane, helm: Helm, overlay: str, settings: list[str]) -> None:
    text = bare.kubectl("kustomize", KUSTOMIZE / overlay, "--load-restrictor=LoadRestrictionsNone")
    ours, theirs = canonical(helm.template(*settings)), canonical(list(yaml.safe_load_all(text)))
    assert sorted(ours) == sorted(theirs)
    for name, shown in ours.items():
        assert shown == theirs[name], name


REFERENCES = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
nameSuffix: -blue
resources: [objects.yaml]
configurations: [name-reference.yaml]
"""


def test_kustomize_follows_every_reference_of_both_kinds(bare: ControlPlane, tmp_path: Path) -> None:
    store = {
        "credentialsSecretRef": {"name": "x"},
        "ca": {"secretKeyRef": {"name": "x"}, "configMapKeyRef": {"name": "x"}},
    }
    objects = [
        *({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} for kind in ("Secret", "ConfigMap", "Service")),
        {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkJob",
            "metadata": {"name": "x"},
            "spec": {
                "cluster": {
                    "serviceRef": {"name": "x"},
                    "authSecretRef": {"name": "x"},
                    "tls": {
                        "ca": {"secretKeyRef": {"name": "x"}, "configMapKeyRef": {"name": "x"}},
                        "clientSecretRef": {"name": "x"},
                    },
                },
                "initialState": {"savepointRef": {"name": "x"}, "copies": [store, store]},
                "savepoints": {"syncTo": store | {"source": store}},
            },
        },
        {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkSavepoint",
            "metadata": {"name": "x"},
            "spec": {"jobRef": {"name": "x"}, "syncTo": store | {"source": store}},
        },
    ]
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    (tmp_path / "kustomization.yaml").write_text(REFERENCES)
    (tmp_path / "name-reference.yaml").write_text(
        (KUSTOMIZE / "base" / "configuration" / "name-reference.yaml").read_text()
    )
    built = bare.kubectl("kustomize", tmp_path)
    assert "name: x\n" not in built
    assert built.count("name: x-blue\n") == 30


def test_every_reference_of_the_definitions_is_in_that_configuration() -> None:
    known = {
        (field["kind"], field["path"].removesuffix("/name"))
        for entry in yaml.safe_load((KUSTOMIZE / "base" / "configuration" / "name-reference.yaml").read_text())[
            "nameReference"
        ]
        for field in entry["fieldSpecs"]
    }
    found = set()
    for path in (CHART.parents[1] / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())["spec"]
        spec = crd["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        found |= {(crd["names"]["kind"], place) for place in references(spec, "spec")}
    assert found == known


def references(schema: dict[str, Any], place: str) -> Iterator[str]:
    for name, inner in (schema.get("properties") or {}).items():
        here = f"{place}/{name}"
        if name.endswith("Ref"):
            yield here
        else:
            yield from references(inner.get("items", inner), here)


def test_generated_files_are_up_to_date() -> None:
    assert generated.main(["--check"]) == 0


def test_every_value_is_described() -> None:
    described = {name for name, _, _ in generated.values()}
    schema = json.loads((CHART / "values.schema.json").read_text())

    def leaves(node: dict[str, Any], place: str) -> Iterator[str]:
        for name, inner in node["properties"].items():
            here = f"{place}.{name}" if place else name
            if inner.get("properties") and here not in described:
                yield from leaves(inner, here)
            else:
                yield here

    assert set(leaves(schema, "")) - {"global"} == described


def test_the_operators_variables_are_one_config_map_of_its_own_namespace(helm: Helm) -> None:
    objects = helm.template("--set=operator.variablesConfigMap=shared", "--set=secretAccess=WhereBound")
    (deployment,) = (found for found in objects if found["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert "--variables-config-map=$(POD_NAMESPACE)/shared" in container["args"]
    roles = [found for found in objects if found["kind"] == "Role"]
    rules = [rule for role in roles for rule in role["rules"] if "configmaps" in rule["resources"]]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in rules] == [(["shared"], ["get"])]
