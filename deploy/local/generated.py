"""Files below `deploy/` that are made from others: `python -m deploy.local.generated [--check]`.

The chart's copies of the CRDs (a chart cannot reach outside of its directory), the alerts and the dashboards of the
Kustomize overlay, the Role of its namespaces overlay, and the table of the chart's values in deploy/README.md.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "deploy" / "chart"
OVERLAYS = REPOSITORY / "deploy" / "kustomize" / "overlays"
README = REPOSITORY / "deploy" / "README.md"
_BEGIN, _END = "<!-- values: begin -->\n", "<!-- values: end -->\n"


def values() -> Iterator[tuple[str, str, str]]:
    """Name, default and description of each value that has a description, in the order of values.yaml."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    defaults = yaml.safe_load("\n".join(lines))
    path: list[str] = []
    comment = ""
    for line in lines:
        text = line.strip()
        if text.startswith("# -- "):
            comment = text.removeprefix("# -- ")
        elif text and not text.startswith(("#", "-")):
            depth = (len(line) - len(line.lstrip())) // 2
            path = [*path[:depth], text.partition(":")[0]]
            if comment:
                found = defaults
                for part in path:
                    found = found[part]
                shown = yaml.safe_dump(found, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
                yield ".".join(path), shown, comment
                comment = ""


def table() -> str:
    """The values as a Markdown table."""
    rows = [f"| `{name}` | `{default}` | {text} |\n" for name, default, text in values()]
    return "".join(["| value | default | meaning |\n", "| --- | --- | --- |\n", *rows])


def wanted() -> dict[Path, str]:
    """What each generated file must hold."""
    files = {CHART / "files" / "crds" / crd.name: crd.read_text() for crd in (REPOSITORY / "crds").glob("*.yaml")}
    alerts = (CHART / "files" / "alerts.yaml").read_text()
    spec = "".join(f"  {line}\n" for line in alerts.splitlines())
    head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: flinkjob-operator\nspec:\n"
    files[OVERLAYS / "monitoring" / "prometheus-rule.yaml"] = head + spec
    for name in ("dashboard.json", "dashboard-job.json"):
        files[OVERLAYS / "monitoring" / name] = (CHART / "files" / name).read_text()
    readme = README.read_text()
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    files[README] = f"{before}{_BEGIN}\n{table()}\n{_END}{after}"
    return files


def main(arguments: list[str]) -> int:
    """Writes the files, or with `--check` names those that differ; returns the exit code."""
    stale = [path for path, text in wanted().items() if not path.is_file() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(REPOSITORY)} is not up to date: make generated", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted()[path])
        print(path.relative_to(REPOSITORY))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
