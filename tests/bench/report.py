"""What the benchmarks found: figures beside their limits and goals, raw results, and the comparison with what is committed.

Used by the stages beside it, and by `keep.py`. A figure is compared with a limit of the same run wherever there is one, so
that a busy machine slows both. Nothing absolute is asserted: only a ratio that got worse than `baseline.json` says fails.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from deploy.local.environment import REPOSITORY

RAW = REPOSITORY / ".local" / "bench"
BASELINE = Path(__file__).with_name("baseline.json")
STAGES = ("reaction", "kinds", "burst", "start", "scale", "shared", "sync", "pages")
"""In the order in which they are shown; each is a module here."""
WORSE = 1.2
"""A ratio that is so many times that of the baseline fails."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a figure should reach: `above` its limit, `times` its limit, or at `most` by itself."""

    kind: Literal["above", "times", "most"]
    value: float

    def __str__(self) -> str:
        sign = {"above": "limit + ", "times": "limit × ", "most": ""}[self.kind]
        return f"≤ {sign}{self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        unit: of the numbers.
        value: of the operator; a median where it was measured several times.
        limit: the same without the operator, in the same run, or None.
        goal: or None.
        grain: a difference to the baseline, in `unit`, below which it is chance.
        samples, limit_samples: all that was measured.
    """

    name: str
    unit: str
    value: float
    limit: float | None = None
    goal: Goal | None = None
    grain: float = 0.0
    samples: tuple[float, ...] = ()
    limit_samples: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        samples: Sequence[float],
        limit: Sequence[float] = (),
        goal: Goal | None = None,
        grain: float = 0.1,
    ) -> Figure:
        """From seconds that were measured in turns."""
        return cls(
            name=name,
            unit="s",
            value=statistics.median(samples),
            limit=statistics.median(limit) if limit else None,
            goal=goal,
            grain=grain,
            samples=tuple(samples),
            limit_samples=tuple(limit),
        )

    @property
    def ratio(self) -> float | None:
        """Of the limit; of the goal where there is no limit; None where there is neither."""
        by = self.limit if self.limit else self.goal.value if self.goal is not None and self.goal.value else None
        return None if by is None else self.value / by

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        match self.goal:
            case None:
                return None
            case Goal(kind="above"):
                return self.value - (self.limit or 0.0) <= self.goal.value
            case Goal(kind="times"):
                return self.value <= (self.limit or 0.0) * self.goal.value
            case _:
                return self.value <= self.goal.value

    def worse_than(self, baseline: float) -> bool:
        """Whether the ratio is a fifth worse than this one, by more than chance."""
        if self.ratio is None or self.ratio <= baseline * WORSE:
            return False
        return self.value - self.value / self.ratio * baseline > self.grain


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one step took.

    Attributes:
        step: what was done.
        seconds: of the clock.
        cpu, cpu_kubernetes, cpu_flink: CPU seconds of the operator, of the API server, of Flink or what simulates it.
        peak: most resident memory of the operator, in MiB.
        flink, flink_bytes: requests to Flink, and bytes of its answers.
        kubernetes: requests of the operator by verb.
        stop, stops: the longest time that the event loop was busy at a stretch, and all above 50 ms together, in CPU seconds;
            None where nobody looked.
    """

    step: str
    seconds: float
    cpu: float
    cpu_kubernetes: float
    cpu_flink: float
    peak: float
    flink: int
    flink_bytes: int
    kubernetes: Mapping[str, int]
    stop: float | None = None
    stops: float | None = None


@dataclass
class Report:
    """All figures of a stage, such as `reaction` or `scale-1000x10`."""

    stage: str
    figures: list[Figure] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    load: tuple[float, ...] = field(default_factory=os.getloadavg)

    def add(self, *figures: Figure) -> None:
        """Keeps them."""
        self.figures += figures

    def write(self, directory: Path = RAW) -> None:
        """As JSON, with what is needed to compare two machines."""
        directory.mkdir(parents=True, exist_ok=True)
        derived = [{"ratio": figure.ratio, "met": figure.met} for figure in self.figures]
        raw = asdict(self) | {
            "cpus": os.cpu_count(),
            "load": {"before": self.load, "after": os.getloadavg()},
            "figures": [asdict(figure) | more for figure, more in zip(self.figures, derived, strict=True)],
        }
        (directory / f"{self.stage}.json").write_text(json.dumps(raw, indent=1))

    @classmethod
    def read(cls, file: Path) -> Report:
        """What `write` wrote."""
        raw = json.loads(file.read_text())
        figures = [_figure(each) for each in raw["figures"]]
        costs = [Cost(**each) for each in raw["costs"]]
        return cls(raw["stage"], figures, costs, raw["started"], tuple(raw["load"]["before"]))

    def show(self) -> None:
        """As tables on standard output."""
        console = Console(width=170)
        table = Table(title=f"{self.stage}: {os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f}")
        for column in HEADINGS:
            table.add_column(column, justify="left" if column in ("what", "") else "right")
        for figure in self.figures:
            table.add_row(*row(figure))
        console.print(table)
        if self.costs:
            costs = Table(title="what each step cost")
            for column in COST_HEADINGS:
                costs.add_column(column, justify="left" if column in ("step", "Kubernetes requests") else "right")
            for cost in self.costs:
                costs.add_row(*cost_row(cost))
            console.print(costs)

    def worse(self, baseline: Mapping[str, float]) -> list[str]:
        """The figures that are a fifth worse than what is committed."""
        found = [(each, baseline.get(f"{self.stage}: {each.name}")) for each in self.figures]
        return [
            f"{each.name}: ratio {each.ratio:.2f}, was {before:.2f}"
            for each, before in found
            if before is not None and each.worse_than(before)
        ]


HEADINGS = ("what", "n", "ours", "limit", "ratio", "goal", "")
COST_HEADINGS = (
    "step",
    "seconds",
    "CPU",
    "API server",
    "Flink",
    "peak MiB",
    "Flink requests",
    "MB",
    "Kubernetes requests",
    "longest stop",
)


def row(figure: Figure) -> tuple[str, ...]:
    """The cells of a figure, under `HEADINGS`."""
    unit = f" {figure.unit}" if figure.unit else ""
    return (
        figure.name,
        str(len(figure.samples) or 1),
        f"{figure.value:.3g}{unit}" if figure.value < 100 else f"{figure.value:,.0f}{unit}",
        "" if figure.limit is None else f"{figure.limit:.3g}{unit}",
        "" if figure.limit is None or figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.goal is None else f"{figure.goal}{unit if figure.goal.kind != 'times' else ''}",
        {None: "", True: "met", False: "**missed**"}[figure.met],
    )


def cost_row(cost: Cost) -> tuple[str, ...]:
    """The cells of a cost, under `COST_HEADINGS`."""
    return (
        cost.step,
        f"{cost.seconds:.1f}",
        f"{cost.cpu:.1f}",
        f"{cost.cpu_kubernetes:.1f}",
        f"{cost.cpu_flink:.1f}",
        f"{cost.peak:.0f}",
        f"{cost.flink:,}",
        f"{cost.flink_bytes / 1e6:.1f}",
        " ".join(f"{verb} {count:,}" for verb, count in sorted(cost.kubernetes.items())),
        "" if cost.stop is None else f"{cost.stop * 1000:.0f} ms",
    )


def all_reports(directory: Path = RAW) -> list[Report]:
    """The newest of each stage."""
    return sorted((Report.read(file) for file in directory.glob("*.json")), key=lambda each: _order(each.stage))


def ratios(reports: Iterable[Report]) -> dict[str, float]:
    """What `baseline.json` holds."""
    named = ((f"{report.stage}: {figure.name}", figure.ratio) for report in reports for figure in report.figures)
    return {name: round(ratio, 3) for name, ratio in named if ratio is not None}


def baseline() -> dict[str, float]:
    """What is committed."""
    return dict(json.loads(BASELINE.read_text())) if BASELINE.exists() else {}


def _order(stage: str) -> tuple[Any, ...]:
    """Stages in the order of their running, sizes by number."""
    name, _, size = stage.partition("-")
    numbers = [int(part) for part in size.split("x") if part.isdigit()]
    return (STAGES.index(name), *numbers)


def _figure(raw: Mapping[str, Any]) -> Figure:
    fields: dict[str, Any] = {key: value for key, value in raw.items() if key not in ("ratio", "met")}
    if fields["goal"] is not None:
        fields["goal"] = Goal(**fields["goal"])
    for name in ("samples", "limit_samples"):
        fields[name] = tuple(fields[name])
    return Figure(**fields)
