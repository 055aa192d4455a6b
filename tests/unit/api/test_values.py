"""Value types that both kinds share."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from flinkjob.api import common
from flinkjob.api.common import duration_seconds
from flinkjob.api.model import one_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("7d", 604800), ("500ms", 0.5), ("1m500ms", 60.5), ("0h1s", 1)],
)
def test_a_duration_has_a_length(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0s", "0h0m", "10", "10 min", "-1s", "1.5h", "s", "1s ", "1s\n", "PT1M"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_seconds(text)


GOOD_AND_BAD = [
    (common.ClusterUrl, "http://flink:8081", True),
    (common.ClusterUrl, "https://gateway.example.com/flink/a", True),
    (common.ClusterUrl, "http://[::1]:8081", True),
    (common.ClusterUrl, "http://user@flink:8081", False),
    (common.ClusterUrl, "http://flink:8081?x=y", False),
    (common.ClusterUrl, "http://flink:8081#x", False),
    (common.ClusterUrl, "http://", False),
    (common.ClusterUrl, "http://:8081", False),
    (common.ClusterUrl, "http://flink:rest", False),
    (common.ClusterUrl, "http://flink:", False),
    (common.ClusterUrl, "http://10.0.0.1", True),
    (common.ClusterUrl, "http://flink:8081\n", False),
    (common.ArtifactUri, "https://repo.example.com/a.jar?X-Signature=1", True),
    (common.ArtifactUri, "file:///jars/a.jar", True),
    (common.ArtifactUri, "https://u:p@repo.example.com/a.jar", False),
    (common.ArtifactUri, "https://repo.example.com", False),
    (common.ArtifactUri, "s3://bucket/a.jar", True),
    (common.ArtifactUri, "hdfs://host/a.jar", False),
    (common.ArtifactUri, "file://a.jar", False),
    (common.Location, "file:/savepoints/savepoint-1", True),
    (common.Location, "s3://bucket/savepoints", True),
    (common.Location, "abfss://container@account.dfs.core.windows.net/a", True),
    (common.Location, "/savepoints/with a space", True),
    (common.Location, "savepoints", False),
    (common.Location, "s3://key:secret@bucket/savepoints", False),
    (common.Location, "file:///a\nb", False),
    (common.JobId, "0123456789abcdef0123456789abcdef", True),
    (common.JobId, "0123456789ABCDEF0123456789ABCDEF", False),
    (common.JobName, "a" * 45, True),
    (common.JobName, "a" * 46, False),
    (common.JobName, "-a", False),
]


@pytest.mark.parametrize(("annotation", "text", "good"), GOOD_AND_BAD)
def test_strings_are_checked(annotation: Any, text: str, good: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(annotation)
    if good:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_one_of_is_exact_for_any_number_of_fields() -> None:
    assert one_of("a", "b") == "has(self.a) != has(self.b)"
    assert one_of("a", "b", "c") == "[has(self.a), has(self.b), has(self.c)].filter(present, present).size() == 1"
