"""`make bench-keep`: writes what is committed of the newest results: the tables of `README.md`, `scale.svg`, `baseline.json`.

Figures of stages that were not run again stay as they are in `.local/bench/`, so a stage can be repeated alone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.picture import draw
from tests.bench.report import BASELINE, COST_HEADINGS, HEADINGS, RAW, Report, all_reports, cost_row, ratios, row

README = Path(__file__).with_name("README.md")
PICTURE = Path(__file__).with_name("scale.svg")


def main() -> None:
    """Writes the three files."""
    reports = all_reports()
    if not reports:
        raise SystemExit(f"nothing in {RAW}: make bench")
    text = README.read_text()
    README.write_text(between(text, "tables", tables(reports)))
    PICTURE.write_text(draw(reports))
    BASELINE.write_text(json.dumps(ratios(reports), indent=1, ensure_ascii=False) + "\n")


def between(text: str, name: str, content: str) -> str:
    """The text with what is between two marks of that name replaced."""
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(f"{marks[0]}.*{marks[1]}", lambda _: f"{marks[0]}\n{content}\n{marks[1]}", text, flags=re.DOTALL)


def tables(reports: Sequence[Report]) -> str:
    """The figures and the costs of each stage, in Markdown."""
    parts: list[str] = []
    for report in reports:
        day = time.strftime("%d %b %Y", time.gmtime(report.started))
        parts.append(f"### {report.stage}\n\nMeasured on {day}, load before: {report.load[0]:.1f}.\n")
        parts.append(markdown(HEADINGS, [row(figure) for figure in report.figures]))
        if report.costs:
            parts.append(markdown(COST_HEADINGS, [cost_row(cost) for cost in report.costs]))
    return "\n".join(parts).rstrip()


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar within a cell is escaped."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
