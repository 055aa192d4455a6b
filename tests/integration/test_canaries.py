"""Nothing secret gets out: strings are planted where secrets are, work succeeds and fails, and then everything is searched.

Planted are credentials, tokens and keys in Secrets, and the user information and queries of URLs. Arguments and Flink
configuration are no secrets: Flink itself shows them to everybody who can read its web interface.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import plainhttp
from tests.support.integration import (
    Fault,
    FileServer,
    FlinkCluster,
    FlinkProxy,
    Lab,
    Site,
    condition,
    free_port,
    secret,
)

pytestmark = [pytest.mark.kube, pytest.mark.flink]

IN_SECRETS = ["canary-user-5f1c", "canary-password-8d2e", "canary-token-77ab", "canary-key-0c9d"]
IN_URLS = ["canary-signature-41fe", "canary-missing-93bb", "canary-thrown-2e60"]
USER, PASSWORD, TOKEN, KEY = IN_SECRETS
SIGNATURE, MISSING, THROWN = IN_URLS


@pytest.fixture
def place(site: Site, flink: FlinkCluster, tmp_path: Path) -> Iterator[Lab]:
    """A place of work whose operator says all that it can say."""
    with (
        site.operator("t-canaries", log_level="DEBUG", credentials_over_http="true") as operator,
        site.lab(operator, flink, tmp_path) as lab,
    ):
        yield lab


@pytest.mark.invariant(11)
@pytest.mark.threat("leaked-secrets")
def test_canaries(place: Lab, web: FileServer, proxy: FlinkProxy) -> None:
    shutil.copyfile(place.jar, web.directory / "demo.jar")
    plant(place, "basic", username=USER, password=PASSWORD)
    plant(place, "bearer", token=TOKEN)
    plant(place, "broken", **{"tls.crt": f"-----BEGIN CERTIFICATE-----\n{KEY}\n", "tls.key": KEY})
    signed = {"uri": f"{web.url}/demo.jar?signature={SIGNATURE}"}
    guarded = {"url": proxy.url, "authSecretRef": {"name": "basic"}}

    manifest = place.start("works", cluster=guarded, jar=signed)
    place.apply(place.savepoint("works-saved", "works"))
    place.savepoint_phase("works-saved", "Completed")
    place.apply(place.job("missing", cluster=guarded, jar={"uri": f"{web.url}/none.jar?signature={MISSING}"}))
    place.stalled("missing", "ArtifactFailed")
    refusing = f"http://127.0.0.1:{free_port()}"
    place.apply(place.job("refused", jar=signed, cluster={"url": refusing, "authSecretRef": {"name": "bearer"}}))
    tls = {"clientSecretRef": {"name": "broken"}}
    place.apply(place.job("broken", jar=signed, cluster={"url": refusing.replace("http:", "https:"), "tls": tls}))
    for name in ("refused", "broken"):
        place.wait(name, lambda job: condition(job, "ClusterReachable").get("status") == "False", "unreachable")
    place.edit(manifest, args=["--main-throw", f"no answer from https://u:{THROWN}@db.example/x?password={THROWN}"])
    told = place.stalled("works", "PreflightFailed")
    assert "no answer from https://db.example/x" in condition(told, "Stalled")["message"]
    proxy.add(Fault.HTML, method="GET", path="/jobs/overview", times=1)
    proxy.add(Fault.CUT_BEFORE, method="GET", path="/jobs/overview", times=1)
    place.delete("works")
    place.gone("works")

    found = everything(place)
    assert {kind: [word for word in IN_SECRETS + IN_URLS if word in text] for kind, text in found.items()} == {
        kind: [] for kind in found
    }
    revisions = json.dumps(place.kube.all("ControllerRevision", place.namespace))
    assert [word for word in IN_SECRETS if word in revisions] == []


def plant(lab: Lab, name: str, **values: str) -> None:
    """A Secret."""
    lab.kube.apply(secret(lab.namespace, name, **values))


def everything(lab: Lab) -> dict[str, str]:
    """All that can be read of the operator: statuses, metadata, Events, log, metrics."""
    jobs, savepoints = lab.kube.all("FlinkJob", lab.namespace), lab.kube.all("FlinkSavepoint", lab.namespace)
    objects = [{key: each[key] for key in each if key != "spec"} for each in [*jobs, *savepoints]]
    for each in objects:
        each["metadata"].pop("managedFields", None)
    said = lab.operator.said()
    assert objects
    assert "DEBUG" in said
    return {
        "objects": json.dumps(objects),
        "Events": json.dumps(lab.kube.all("Event", lab.namespace)),
        "log": said,
        "metrics": plainhttp.get(f"{lab.operator.url}/metrics", timeout=10).text,
    }
