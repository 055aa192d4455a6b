"""A later version of the chart, for tests of upgrades without and with a node."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.local.helm import CHART

COLUMN = "Plan"


def write_later_chart(chart: Path) -> Path:
    """Writes version 0.2.0 of the chart, whose FlinkJob has one more column; returns its directory."""
    shutil.copytree(CHART, chart)
    definition = chart / "files" / "crds" / "flinkjobs.yaml"
    text = definition.read_text()
    column = (
        f"    additionalPrinterColumns:\n    - name: {COLUMN}\n      type: string\n      jsonPath: .status.plan.step\n"
    )
    assert text.count("    additionalPrinterColumns:\n") == 1
    definition.write_text(text.replace("    additionalPrinterColumns:\n", column))
    (chart / "Chart.yaml").write_text((chart / "Chart.yaml").read_text().replace("0.1.0", "0.2.0"))
    return chart
