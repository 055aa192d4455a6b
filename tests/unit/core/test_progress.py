"""How far a download is: what is said, and how often that changes."""

from __future__ import annotations

import pytest

from flinkjob.core.progress import LARGE, Progress

MIB = 2**20
NAME = "https://a/b.jar"


@pytest.mark.parametrize(
    ("done", "size", "said"),
    [
        (0, 0, ""),
        (LARGE - 1, 0, ""),
        (5, LARGE - 1, ""),
        (0, LARGE, f"{NAME} is fetched: 0% of 16.0Mi"),
        (99 * MIB, 200 * MIB, f"{NAME} is fetched: 40% of 200Mi"),
        (100 * MIB, 200 * MIB, f"{NAME} is fetched: 50% of 200Mi"),
        (200 * MIB, 200 * MIB, f"{NAME} is fetched: 100% of 200Mi"),
        (LARGE, 0, f"{NAME} is fetched: over 16.0Mi"),
        (255 * MIB, 0, f"{NAME} is fetched: over 128Mi"),
    ],
)
def test_what_is_said(done: int, size: int, said: str) -> None:
    assert str(Progress(name=NAME, done=done, size=size)) == said


def test_an_upload_is_said_to_be_one() -> None:
    upload = Progress(name="the jar", what="uploaded to the cluster", done=99 * MIB, size=200 * MIB)
    assert str(upload) == "the jar is uploaded to the cluster: 40% of 200Mi"


@pytest.mark.parametrize(("size", "most"), [(0, 8), (1024 * MIB, 11)])
def test_a_download_is_no_stream_of_writes(size: int, most: int) -> None:
    texts = {str(Progress(name=NAME, done=done * MIB, size=size)) for done in range(1025)}
    assert 5 < len(texts) <= most
