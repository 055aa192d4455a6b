"""The two generated CustomResourceDefinitions, their files and the reference."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flinkjob.api import crd
from flinkjob.api.constants import MAX_STATUS_BYTES
from flinkjob.api.crd import flinkjob_crd, flinksavepoint_crd, main
from flinkjob.api.enums import SavepointErrorCode

ROOT = Path(__file__).parents[3]
CRDS = {"FlinkJob": flinkjob_crd(), "FlinkSavepoint": flinksavepoint_crd()}
APPENDIX = (Path(crd.__file__).with_name("appendix.md")).read_text()


def root_schema(kind: str) -> dict[str, Any]:
    return dict(CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from walk(schema[inner], path)


def fields(kind: str) -> dict[str, dict[str, Any]]:
    properties = root_schema(kind)["properties"]
    return {path: schema for part in ("spec", "status") for path, schema in walk(properties[part], f"{kind}.{part}")}


def test_the_checked_in_files_are_up_to_date() -> None:
    assert main(["--check", "--directory", str(ROOT / "crds")]) == 0


def test_check_tells_a_stale_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--directory", str(tmp_path)]) == 1
    assert "flinkjobs.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["--directory", str(tmp_path)]) == 0
    assert main(["--check", "--directory", str(tmp_path)]) == 0
    (tmp_path / "flinkjobs.yaml").write_text("stale")
    assert main(["--check", "--directory", str(tmp_path)]) == 1


def test_generation_is_deterministic() -> None:
    assert crd.files() == crd.files()


@pytest.mark.parametrize("kind", CRDS)
def test_the_yaml_says_what_the_generator_says(kind: str) -> None:
    plural = CRDS[kind]["spec"]["names"]["plural"]
    assert yaml.safe_load(crd.files()[f"{plural}.yaml"]) == CRDS[kind]


@pytest.mark.parametrize("kind", CRDS)
def test_every_field_is_described(kind: str) -> None:
    schemas = [each for part in ("spec", "status") for each in walk(root_schema(kind)["properties"][part], part)]
    found = {
        f"{path}.{name}": field for path, schema in schemas for name, field in schema.get("properties", {}).items()
    }
    assert len(found) > 20
    assert [path for path, field in found.items() if "description" not in field] == []


@pytest.mark.parametrize("kind", CRDS)
def test_every_rule_has_a_message_that_names_a_field(kind: str) -> None:
    for _, schema in walk(root_schema(kind), ""):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert re.match(r"(spec|metadata)\.\w+", rule["message"]), rule
            assert "{path}" not in rule["message"]


def largest(schema: dict[str, Any]) -> int:
    """Bytes of the largest value in ASCII."""
    match schema["type"]:
        case "object":
            return 2 + sum(len(name) + 4 + largest(field) for name, field in schema["properties"].items())
        case "array":
            return 2 + int(schema["maxItems"]) * (2 + largest(schema["items"]))
        case "string":
            return 2 + max(map(len, schema["enum"])) if "enum" in schema else 2 + int(schema.get("maxLength", 26))
        case _:
            return 19


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("kind", CRDS)
def test_a_status_is_bounded_as_a_whole(kind: str) -> None:
    """The history does not count: its oldest entries are dropped when a status is written."""
    status = root_schema(kind)["properties"]["status"]
    fields = {name: field for name, field in status["properties"].items() if name != "history"}
    assert largest({"type": "object", "properties": fields}) <= MAX_STATUS_BYTES


@pytest.mark.parametrize("kind", CRDS)
def test_selectable_fields_and_columns_exist(kind: str) -> None:
    version = CRDS[kind]["spec"]["versions"][0]
    for entry in version["selectableFields"]:
        assert kind + entry["jsonPath"] in fields(kind)
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"]
        if path.startswith((".spec", ".status")):
            assert kind + re.sub(r"\[\?.*?\]", "", path) in fields(kind)


def test_a_job_can_be_scaled_without_a_value() -> None:
    assert CRDS["FlinkJob"]["spec"]["versions"][0]["subresources"]["scale"]["specReplicasPath"] == ".spec.parallelism"
    assert fields("FlinkJob")["FlinkJob.spec.parallelism"]["default"] == 1


def test_every_field_of_a_savepoint_spec_but_what_becomes_of_it_is_immutable() -> None:
    spec = root_schema("FlinkSavepoint")["properties"]["spec"]
    messages = {rule["message"] for rule in spec["x-kubernetes-validations"]}
    free = {"deletion", "ttlSecondsAfterFinished"}
    immutable = {message.split()[0].removeprefix("spec.") for message in messages if "is immutable" in message}
    assert immutable == set(spec["properties"]) - free


def rows(section: str) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("| ")]


def test_planned_fields_are_not_there_yet() -> None:
    section = APPENDIX.split("## Not yet")[1].split("\n## ")[0]
    planned = [name for row in rows(section) for name in re.findall(r"`(Flink\w+\.[\w.]+)`", row.split(" | ")[0])]
    assert planned
    known = fields("FlinkJob") | fields("FlinkSavepoint")
    assert [name for name in planned if name in known] == []


def test_the_mapping_names_fields_that_exist_or_are_planned() -> None:
    planning, mapping = APPENDIX.split("## Not yet")[1].split("\n## ", 1)
    planned = set(re.findall(r"`(Flink\w+\.[\w.]+)`", planning))
    known = set(fields("FlinkJob")) | set(fields("FlinkSavepoint"))
    named = set(re.findall(r"`(Flink\w+\.(?:spec|status)[\w.]*)`", mapping))
    assert named - known - planned == set()


def test_every_mapped_field_has_an_answer() -> None:
    mapping = APPENDIX.split("## Coming from")[1]
    table = [row.strip("| ").split(" | ") for row in rows(mapping)]
    assert len(table) > 80
    assert all(len(cells) == 2 and cells[1] for cells in table)


def test_the_reference_has_every_field() -> None:
    reference = crd.files()["README.md"]
    for kind in CRDS:
        for path in fields(kind):
            name = path.rsplit(".", 1)[-1]
            assert re.search(rf"`[\w.\[\]]*\b{re.escape(name)}`", reference) or path.count(".") == 1


def test_every_word_is_explained() -> None:
    explained = crd.files()["README.md"].split("## Words in a status")[1].split("\n## ")[0]
    for kind, path in (
        ("FlinkJob", "status.submission.reason"),
        ("FlinkJob", "status.submission.end.result"),
        ("FlinkJob", "status.submission.end.snapshotKind"),
        ("FlinkJob", "status.hold.reason"),
        ("FlinkSavepoint", "status.error.errorCode"),
    ):
        section = explained.split(f"`{kind}.{path}`:")[1].split("\n`")[0]
        assert re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE) == fields(kind)[f"{kind}.{path}"]["enum"]


def test_every_error_code_says_what_to_do() -> None:
    section = APPENDIX.split("## Error codes of a FlinkSavepoint\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    assert [row[0].strip(" `") for row in rows] == list(SavepointErrorCode)
    assert all(len(row[1].strip()) > 20 for row in rows)
