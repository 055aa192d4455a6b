"""The test of the model: every planted bug is found, and without it the very same things go well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.plant import Plant, plant
from tests.model.planted import PLANTED, Planted

each = pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)


def _try(planted: Planted, world: Plant) -> None:
    planted.provoke(world)
    for sim in world.sims.values():
        assert not sim.double_runs(), "submitted beside a live job"
    assert len(world.live("a")) <= 1
    world.witness.check()


@each
def test_it_is_found(planted: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    with plant(tmp_path) as world, pytest.raises(AssertionError):
        _try(planted, world)


@each
def test_nothing_is_found_without_it(planted: Planted, tmp_path: Path) -> None:
    with plant(tmp_path) as world:
        _try(planted, world)
