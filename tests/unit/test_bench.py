"""What is shown of the benchmarks."""

from tests.bench.report import BASELINE, STAGES


def test_every_stage_is_shown() -> None:
    assert {f"test_{stage}" for stage in STAGES} == {module.stem for module in BASELINE.parent.glob("test_*.py")}
