"""FlinkJobs and FlinkSavepoints as anybody may write them: specs, statuses and annotations, changed at random."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import strategies as st

from flinkjob.api.codec import (
    FlinkJob,
    FlinkSavepoint,
    dump_status,
    fitting_status,
    read_job_result,
    read_result,
)
from flinkjob.api.constants import (
    ANNOTATION_ADOPT,
    ANNOTATION_RESULT,
    ANNOTATION_USE,
    MAX_ANNOTATION,
    READ_ANNOTATIONS,
    READ_LABELS,
)
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.cache import ObjectCache
from tests.fuzz.driver import affordable, fuzz
from tests.fuzz.values import ODD, dump, mutated, one_of_these
from tests.model.plant import plant
from tests.support.crdschema import misfits, status_schema

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
META: dict[str, Any] = {"namespace": "ns", "name": "a", "uid": "u", "resourceVersion": "5", "generation": 3}
MOST_BYTES = 400_000
T = TypeVar("T")


def _specs(kind: str) -> list[Any]:
    documents = [each for path in sorted(EXAMPLES.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return [each["spec"] for each in documents if each["kind"] == kind]


SPECS = {kind: _specs(kind.kind) for kind in Kind}


@pytest.fixture(scope="module")
def statuses(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Kind, list[Any]]:
    """Statuses of both kinds in the life of a job that is changed, saved and deleted."""
    seen: dict[Kind, list[Any]] = {Kind.FLINK_JOB: [], Kind.FLINK_SAVEPOINT: []}
    with plant(tmp_path_factory.mktemp("world")) as world:
        world.kube.on_status = lambda kind, obj: seen[kind].append(obj["status"])
        world.live_through(deletion=30)
    assert all(seen.values())
    return seen


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("the API server refuses integers of more than 64 bits")
    return number


MOST_ENTRIES = 1000
"""Of a list; the CRD's own limits are lower."""


def _as_sent(value: Any) -> Any:
    """As the API server sends it: JSON, no text that is none, and no more than a part of an object may have."""
    text = dump(value)
    try:
        sent = json.loads(text.decode(errors="replace"), parse_int=_whole) if len(text) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None
    lists = [each for each in sent.values() if isinstance(each, list)] if isinstance(sent, dict) else []
    return sent if all(len(each) <= MOST_ENTRIES for each in lists) else None


def _parsed(kind: Kind, obj: dict[str, Any]) -> FlinkJob | FlinkSavepoint:
    """What is known of an object once it was taken in, which must cost little."""
    cache = ObjectCache()

    def take_in() -> None:
        cache.put(kind, obj)
        cache.snapshots_in_use()

    affordable(take_in)
    parsed = cache.job(("ns", "a")) if kind is Kind.FLINK_JOB else cache.savepoint("ns", "a")
    assert parsed is not None
    assert (parsed.spec is None) == (parsed.spec_error is not None)
    for why in (parsed.spec_error, parsed.status_error):
        assert why is None or (0 < len(why) <= 512 and "\n" not in why)
    return parsed


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.kind)
def test_a_spec_is_understood_or_refused(kind: Kind) -> None:
    fuzz(mutated(SPECS[kind]).map(_as_sent), lambda spec: _parsed(kind, {"metadata": META, "spec": spec}))


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.kind)
def test_a_status_is_understood_or_left_alone(kind: Kind, statuses: Mapping[Kind, list[Any]]) -> None:
    schema = status_schema(kind.kind)

    def read(status: Any) -> None:
        parsed = _parsed(kind, {"metadata": META, "spec": SPECS[kind][0], "status": status})
        written, _ = fitting_status(parsed.status)
        assert misfits(schema, written) == []
        if parsed.status_error is None and not misfits(schema, status):
            assert dump_status(parsed.status) == written

    fuzz(mutated(statuses[kind]).map(_as_sent), read)


RESULTS = (
    {"location": "file:/sp/savepoint-1", "jobId": "a" * 32, "submission": 1, "sizeBytes": 5, "duration": "3s"},
    {"result": "Finished", "digest": "abc", "number": 4},
)


@pytest.mark.threat("too-large")
def test_an_annotation_is_understood_or_passed_over() -> None:
    texts = mutated(RESULTS).map(lambda value: dump(value).decode(errors="replace"))
    texts |= one_of_these([odd for odd in ODD if isinstance(odd, str)])
    names = st.sampled_from(
        sorted({*READ_ANNOTATIONS, *READ_LABELS, ANNOTATION_ADOPT, ANNOTATION_RESULT, ANNOTATION_USE})
    )

    def read(annotations: dict[str, str]) -> None:
        meta = META | {"annotations": annotations, "labels": annotations}
        for kind in Kind:
            parsed = _parsed(kind, {"metadata": meta, "spec": SPECS[kind][0]})
            assert all(len(text) <= MAX_ANNOTATION + 1 for text in parsed.meta.annotations.values())
            mark = parsed.meta.annotations.get(ANNOTATION_RESULT, "")
            affordable(lambda mark=mark: _or_value_error(read_job_result, mark))
            result = _or_value_error(read_result, mark)
            if result is not None:
                assert misfits(status_schema("FlinkSavepoint"), dump_status(result)) == []

    fuzz(st.dictionaries(names, texts, max_size=4), read)


def _or_value_error(read: Callable[[str], T], mark: str) -> T | None:
    try:
        return read(mark)
    except ValueError:
        return None
