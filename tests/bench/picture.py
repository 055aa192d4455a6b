"""The scale curve as a picture: what FlinkJobs cost, by how many there are.

Used by `keep.py`. One panel for each cost, both axes logarithmic; a line of slope 1 shows what grows in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from tests.bench.place import Size
from tests.bench.report import Report

WIDTH, HEIGHT, MARGIN = 300, 220, 52
PANELS = {
    "converge: CPU": "CPU seconds to converge from nothing",
    "restart → all seen": "seconds from restart until all are seen",
    "CPU of an idle minute": "CPU seconds of an idle minute",
    "memory": "resident memory, MiB",
}
Point = tuple[Size, float]


def draw(reports: Sequence[Report]) -> str:
    """The picture as SVG text."""
    panels = [
        _panel(name, title, _points(reports, name), number) for number, (name, title) in enumerate(PANELS.items())
    ]
    style = "text{font:11px sans-serif;fill:#333}.t{font-weight:bold}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {2 * HEIGHT}" role="img">\n'
        f"<title>What FlinkJobs cost, by how many there are</title>\n<style>{style}</style>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{"".join(panels)}</svg>\n'
    )


def _points(reports: Sequence[Report], name: str) -> list[Point]:
    """The figure of that name of each size that was measured, by size."""
    scales = [report for report in reports if report.stage.startswith("scale-")]
    found = [
        (Size.parse(report.stage.removeprefix("scale-")), figure.value)
        for report in scales
        for figure in report.figures
        if figure.name == name
    ]
    return sorted(found, key=lambda point: (point[0].jobs, point[0].clusters))


def _panel(name: str, title: str, points: Sequence[Point], number: int) -> str:
    left, top = number % 2 * WIDTH, number // 2 * HEIGHT
    parts = [f'<g transform="translate({left},{top})">\n<text class="t" x="{MARGIN}" y="18">{escape(title)}</text>\n']
    if points:
        parts += _drawn(points)
    return "".join([*parts, "</g>\n"])


def _drawn(points: Sequence[Point]) -> list[str]:
    low, high = 10, max(size.jobs for size, _ in points) * 2
    least, most = min(value for _, value in points) / 2, max(value for _, value in points) * 2

    def x(jobs: float) -> float:
        return MARGIN + (WIDTH - MARGIN - 20) * math.log(jobs / low) / math.log(high / low)

    def y(value: float) -> float:
        return HEIGHT - 40 - (HEIGHT - 70) * math.log(max(value, least) / least) / math.log(most / least)

    bottom, parts = HEIGHT - 40, []
    parts.append(f'<path d="M{MARGIN} 30V{bottom}H{WIDTH - 20}" fill="none" stroke="#999"/>\n')
    jobs = 10
    while jobs <= high:
        parts.append(f'<text x="{x(jobs):.0f}" y="{bottom + 16}" text-anchor="middle">{jobs:,}</text>\n')
        jobs *= 10
    (first, value), *_ = points
    end = min(high, first.jobs * most / value)
    parts.append(
        f'<path d="M{x(first.jobs):.1f} {y(value):.1f}L{x(end):.1f} {y(value * end / first.jobs):.1f}" '
        'stroke="#bbb" stroke-dasharray="4 4"/>\n'
    )
    way = "L".join(f"{x(size.jobs):.1f} {y(value):.1f}" for size, value in points)
    parts.append(f'<path d="M{way}" fill="none" stroke="#06c" stroke-width="2"/>\n')
    for size, value in points:
        at = f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
        label = f"{at} ({size.clusters} clusters)" if size.clusters > 1 else at
        parts.append(f'<circle cx="{x(size.jobs):.1f}" cy="{y(value):.1f}" r="3" fill="#06c"/>')
        parts.append(f'<text x="{x(size.jobs) - 5:.1f}" y="{y(value) - 7:.1f}" text-anchor="end">{label}</text>\n')
    return parts
