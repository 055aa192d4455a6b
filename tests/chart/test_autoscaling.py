"""The example for KEDA: its ScaledObject is one by KEDA's own definition."""

from __future__ import annotations

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.environment import REPOSITORY
from deploy.local.helm import keda_crd
from deploy.local.processes import ProcessFailed

pytestmark = pytest.mark.kube
EXAMPLE = REPOSITORY / "deploy" / "examples" / "autoscaling" / "keda.yaml"


def test_keda_knows_every_field(bare: ControlPlane) -> None:
    definition = keda_crd()
    bare.kubectl("apply", "--server-side", "-f", definition)
    bare.wait_established(f"--filename={definition}")
    strict = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    bare.kubectl(*strict, stdin=EXAMPLE.read_text())
    with pytest.raises(ProcessFailed, match="triggerz"):
        bare.kubectl(*strict, stdin=EXAMPLE.read_text().replace("  triggers:", "  triggerz:"))
    bare.kubectl("delete", "-f", definition)
