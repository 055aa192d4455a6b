"""Free ports: shares of the range for those that run side by side."""

from __future__ import annotations

import pytest

from deploy.local.ports import SHARE, free_port, share_of


def test_shares_have_no_port_in_common() -> None:
    taken = set[int]()
    for number in range(3):
        first, last = map(int, share_of(number, 3).split("-"))
        ports = set(range(first, last + 1))
        assert len(ports) > 5000
        assert not ports & taken
        taken |= ports
    assert min(taken) >= 15_000
    assert max(taken) < 32_000


def test_a_port_is_one_of_the_share_and_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "31900-31999")
    given = [free_port() for _ in range(40)]
    assert len(set(given)) == 40
    assert all(31_900 <= port <= 31_999 for port in given)


def test_a_share_may_be_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARE, "31890-31891")
    with pytest.raises(OSError, match="no free port"):
        [free_port() for _ in range(3)]
