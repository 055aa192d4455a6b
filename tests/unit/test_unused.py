"""Nothing is declared that nothing uses: fields of specs, statuses and actions; reasons, enum members, metrics; functions.

A field that is accepted and ignored, or a word that is documented and never said, passes every other test. What is unused
is found by types (`tests/support/usage.py`), once for the operator and, to prove that it can be found, for a package in
which one thing of each sort is planted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from vulture import Vulture

from flinkjob.api.enums import Phase, SavepointErrorCode
from flinkjob.core.facts import Fact
from tests.support.usage import Usage, analyse

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "flinkjob"
CHANGES = {"flinkjob.core.job.draft.Draft.update": "flinkjob.api.flinkjob_status.Submission"}

ALLOWED: Mapping[str, str] = {
    "flinkjob.api.flinkjob_spec.FlinkJobSpec.restart_nonce": "it acts through the run's digest alone",
    "flinkjob.core.seen.ArtifactRequest.attempt": "it makes a request another one, by equality",
}
"""What is unused on purpose, and why."""

MIRRORS = (
    "flinkjob.core.flinkmodel.",
    "flinkjob.core.jobgraph.",
    "flinkjob.core.errors.",
    "flinkjob.flink.",
    "flinkjob.snapshots.manifest.",
    "flinkjob.snapshots.metadata.",
)
"""What mirrors somebody else's format or words, of which the operator need not use all."""

PAGES = "flinkjob.ui."
"""Whose fields templates read."""

IN_ANNOTATIONS = ("flinkjob.api.fieldclass.",)
"""Enums that stand in the declared types of fields, where no code reads them."""

STATUS = (
    "flinkjob.api.flinkjob_status.",
    "flinkjob.api.failure_status.",
    "flinkjob.api.flinksavepoint_status.",
    "planted.status.",
)
STATUS_IN_SYNC = ("Status", "Progress", "Success", "Failure", "RestoredCopy")
ENUM, SPEC = "enum.Enum", "flinkjob.api.model.SpecModel"
METRICS = ("flinkjob.observability.metrics.Metrics", "planted.metrics.Metrics")
REASONS = ("flinkjob.api.reasons.Reason", "planted.words.Reason")
SAID_BY_WORD = {*Phase, *SavepointErrorCode}
"""Words of other lists that become a reason as they are."""


def is_status(name: str) -> bool:
    return name.startswith(STATUS) or (name.startswith("flinkjob.api.sync.") and name.endswith(STATUS_IN_SYNC))


def fields(usage: Usage, *, status: bool) -> Iterable[str]:
    """The fields of all classes that are no enums, as `module.Class.field`."""
    for name, attributes in usage.classes.items():
        if ENUM in usage.bases[name] or is_status(name) != status or name.startswith(MIRRORS):
            continue
        yield from (f"{name}.{attribute}" for attribute in attributes if attribute not in ("model_config", "RULES"))


def unread(usage: Usage) -> set[str]:
    """Fields that nothing reads: of specs, of what decisions ask for, of anything that is kept or counted."""
    return {each for each in fields(usage, status=False) if not is_read(usage, each) and not is_drawn(each)}


def is_drawn(field: str) -> bool:
    """Whether a template reads a field of what pages show, by its name alone."""
    return field.startswith(PAGES) and field.rpartition(".")[2] in drawn()


@functools.cache
def drawn() -> frozenset[str]:
    """The names of attributes that templates read."""
    texts = "".join(each.read_text() for each in (OPERATOR / "ui" / "templates").glob("*.html"))
    code = re.findall(r"\{[{%].*?[%}]\}", texts, flags=re.DOTALL)
    return frozenset(name for each in code for name in re.findall(r"\.(\w+)", each))


def is_read(usage: Usage, field: str) -> bool:
    """Whether a field is read, perhaps as that of a class above, and a metric outside of where it is made."""
    owner, _, name = field.rpartition(".")
    places = {place for each in (owner, *usage.bases[owner]) for place in usage.reads.get(f"{each}.{name}", ())}
    return any(owner not in METRICS or place.function != "__init__" for place in places)


def unwritten(usage: Usage) -> set[str]:
    """Fields of statuses that nothing writes."""
    return {each for each in fields(usage, status=True) if each not in usage.writes}


def unsaid(usage: Usage) -> set[str]:
    """Members of enums that are never said, only compared with; of those that people write, all but one must be compared."""
    found: set[str] = set()
    given = {kind for name in usage.derived_from(SPEC) for kind in usage.types[name]}
    for enum in usage.derived_from(ENUM):
        if enum.startswith((*MIRRORS, *IN_ANNOTATIONS)) or enum in usage.made:
            continue
        members = [f"{enum}.{member}" for member in usage.classes[enum]]
        if enum in given:
            unnamed = {each for each in members if each not in usage.reads and each not in usage.compared}
            found |= unnamed if len(unnamed) > 1 else set()
        else:
            found |= {each for each in members if each not in usage.reads}
    return {each for each in found if not (each.startswith(REASONS) and each.rpartition(".")[2] in SAID_BY_WORD)}


# functions, by name alone

CALLED_BY_LIBRARIES = {
    "_check_rules": "pydantic",
    "_consistent": "pydantic",
    "_missing_": "enum",
    "async_auth_flow": "httpx",
    "connect_tcp": "httpcore2",
    "get_extra_info": "httpcore2",
    "start_tls": "httpcore2",
    "collect": "prometheus_client",
    "do_GET": "http.server",
    "log_message": "http.server",
    "ignore_aliases": "yaml",
    "on_files": "mkdocs",
    "on_page_markdown": "mkdocs",
    "on_post_page": "mkdocs",
    "build": "kopf",
    "on_job": "kopf",
    "on_savepoint": "kopf",
    "get_attribute_hook": "mypy",
    "get_class_attribute_hook": "mypy",
    "get_function_hook": "mypy",
    "get_method_hook": "mypy",
    "points": "the crash suite, which must not forget one",
}
"""Functions that only somebody else calls, and who."""


def dead(*directories: Path, below: Sequence[Path] = ()) -> list[str]:
    """Functions, classes and properties whose name stands nowhere in these directories but where they are defined.

    Args:
        below: only those defined in these directories; all where there are none.
    """
    finder = Vulture()
    finder.scavenge([str(directory) for directory in directories])
    return sorted(
        item.name
        for item in finder.get_unused_code()
        if item.typ in ("function", "method", "property", "class")
        and item.name not in CALLED_BY_LIBRARIES
        and (not below or any(Path(item.filename).resolve().is_relative_to(directory) for directory in below))
    )


def test_every_function_of_the_operator_is_called_by_it_not_only_by_tests() -> None:
    assert dead(OPERATOR) == []


def test_every_function_of_the_local_environment_and_of_what_tests_share_is_called() -> None:
    shared = [ROOT / "deploy" / "local", ROOT / "tests" / "support", ROOT / "tests" / "flinksim"]
    assert dead(OPERATOR, ROOT / "deploy", ROOT / "tests", below=shared) == []


def test_a_dead_function_is_found(tmp_path: Path) -> None:
    text = "class Thing:\n    def used(self): ...\n    def spare(self): ...\ndef dead(): ...\nThing().used()\n"
    (tmp_path / "planted.py").write_text(text)
    assert dead(tmp_path) == ["dead", "spare"]


# what is planted

PLANTED = {
    "__init__.py": "",
    "spec.py": """
from flinkjob.api.model import SpecModel
from planted.words import Strategy

class Spec(SpecModel):
    used: str = ""
    copied: str = ""
    ignored: str = ""
    checked: str = ""
    strategy: Strategy = Strategy.FIRST

    def describe(self) -> str:
        return "without " + "checked"
""",
    "words.py": """
from enum import StrEnum

class Strategy(StrEnum):
    FIRST = "First"
    SECOND = "Second"
    THIRD = "Third"

class Kind(StrEnum):
    SAID = "Said"
    COMPARED = "Compared"
    NEVER = "Never"

class Reason(StrEnum):
    Running = "Running"
    Told = "Told"
    NeverTold = "NeverTold"
""",
    "status.py": """
from dataclasses import dataclass

@dataclass(frozen=True)
class Status:
    written: str = ""
    replaced: str = ""
    documented: str = ""
""",
    "metrics.py": """
class Metrics:
    def __init__(self) -> None:
        self.observed = 0
        self.on_the_dashboard = 0
        print(self.on_the_dashboard)

class Recorder:
    def __init__(self) -> None:
        self.dropped = 0

    def drop(self) -> None:
        self.dropped += 1
""",
    "code.py": """
from dataclasses import dataclass, replace

from planted.metrics import Metrics
from planted.spec import Spec
from planted.status import Status
from planted.words import Kind, Reason, Strategy

@dataclass
class Action:
    what: str
    copied: str

def decide(spec: Spec, kind: Kind, metrics: Metrics) -> tuple[Action, Status, Kind, Reason]:
    match spec.strategy:
        case Strategy.FIRST:
            print(metrics.observed)
    if kind is Kind.COMPARED or kind in (Kind.NEVER,):
        print("never")
    status = replace(Status(written="now"), replaced="then")
    return Action(what=spec.used, copied=spec.copied), status, Kind.SAID, Reason.Told

def perform(action: Action) -> None:
    print(action.what)
""",
}


@pytest.fixture(scope="module")
def usage(tmp_path_factory: pytest.TempPathFactory) -> Usage:
    planted = tmp_path_factory.mktemp("path") / "planted"
    planted.mkdir()
    for name, text in PLANTED.items():
        (planted / name).write_text(text)
    return analyse([OPERATOR, planted], CHANGES)


def split(found: set[str]) -> tuple[list[str], list[str]]:
    """What is wrong with the operator, and what was found of what is planted."""
    planted = {each for each in found if each.startswith("planted.")}
    return sorted(found - planted - set(ALLOWED)), sorted(each.removeprefix("planted.") for each in planted)


def test_every_field_of_a_spec_is_acted_on_and_nothing_is_kept_that_nobody_reads(usage: Usage) -> None:
    operator, planted = split(unread(usage))
    assert planted == [
        "code.Action.copied",  # of the spec's `copied`: read, but not acted on
        "metrics.Metrics.on_the_dashboard",
        "metrics.Recorder.dropped",
        "spec.Spec.checked",
        "spec.Spec.ignored",
    ]
    assert operator == []


def test_every_field_of_a_status_is_written(usage: Usage) -> None:
    operator, planted = split(unwritten(usage))
    assert planted == ["status.Status.documented"]
    assert operator == []


def test_every_reason_and_member_of_an_enum_is_said(usage: Usage) -> None:
    operator, planted = split(unsaid(usage))
    assert planted == [
        "words.Kind.COMPARED",
        "words.Kind.NEVER",
        "words.Reason.NeverTold",
        "words.Strategy.SECOND",
        "words.Strategy.THIRD",
    ]
    assert operator == []


def test_every_question_is_asked_by_a_decision_and_answered() -> None:
    core = [file.read_text() for file in (OPERATOR / "core").rglob("*.py") if file.name != "facts.py"]
    answers = "".join((OPERATOR / "runtime" / name).read_text() for name in ("observer.py", "inquiry.py"))
    names = [each.__name__ for each in Fact.__subclasses__()]
    assert len(names) > 10
    assert [name for name in names if not any(f"{name}(" in text for text in core)] == []
    assert [name for name in names if f"case {name}(" not in answers] == []


def test_nothing_is_excepted_that_is_used(usage: Usage) -> None:
    assert set(ALLOWED) <= unread(usage) | unwritten(usage) | unsaid(usage)
