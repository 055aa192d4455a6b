"""What a FlinkJob runs: a jar, or a SQL script; and the jars that either needs. Models of `FlinkJob.spec`."""

from typing import Annotated, Final

from pydantic import Field

from flinkjob.api.common import ArtifactUri, FileUri, Sha256
from flinkjob.api.model import Rule, SpecModel, exactly_one
from flinkjob.api.references import NamedKey
from flinkjob.api.source_spec import SourceSpec, access_rules, sha256_with_uri

MOST_SCRIPT_BYTES: Final = 128 * 1024
"""Of all texts of a script together: every FlinkJob is in the operator's memory, and each revision keeps them."""

ScriptText = Annotated[str, Field(min_length=1, max_length=MOST_SCRIPT_BYTES)]


class JarSpec(SourceSpec):
    """The jar that is run."""

    RULES = (
        exactly_one("spec.jar", "uri", "configMapKeyRef", "id"),
        Rule(
            "!has(self.id) || !has(self.sha256)",
            "spec.jar: not both id and sha256, since Flink does not say what a jar contains",
            lambda jar: jar.id_ is None or jar.sha256 is None,
        ),
        *access_rules("spec.jar"),
    )

    uri: Annotated[
        ArtifactUri | None,
        Field(
            description="Where the jar is fetched from: https, http, s3, gs, az, file (below the directories that the "
            "operator allows), or maven:GROUP:ARTIFACT:VERSION[:CLASSIFIER], from the repository that the operator is given."
        ),
    ] = None
    config_map_key_ref: Annotated[
        NamedKey | None,
        Field(
            description="The jar is in binaryData of a ConfigMap of the same namespace, which holds at most 1 MiB. Without "
            "sha256 a change of it is a change of the spec, and is seen as for sql.configMapKeyRef."
        ),
    ] = None
    id_: Annotated[
        Annotated[str, Field(min_length=5, max_length=512, pattern=r"^[^/\\\s?#%]+\.jar$")] | None,
        Field(
            description="The id of a jar that somebody has uploaded to the cluster, as `GET /jars` lists it. The operator "
            "neither uploads nor deletes it; when it is gone, nothing can be started until another one is named."
        ),
    ] = None
    sha256: Annotated[
        Sha256 | None,
        Field(description="The jar's SHA-256 in lower-case hexadecimal; a jar with another content is refused."),
    ] = None
    entry_class: Annotated[
        Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z_$][A-Za-z0-9_.$]*$")] | None,
        Field(description="The class with main(). Defaults to the one that the jar's manifest names."),
    ] = None


class ScriptInit(SourceSpec):
    """Statements that come before the script."""

    RULES = (
        exactly_one("spec.sql.initFrom", "script", "configMapKeyRef", "uri"),
        sha256_with_uri("spec.sql.initFrom"),
        *access_rules("spec.sql.initFrom"),
    )

    script: Annotated[ScriptText | None, Field(description="The statements.")] = None
    config_map_key_ref: Annotated[
        NamedKey | None, Field(description="They are in a ConfigMap of the same namespace.")
    ] = None
    uri: Annotated[FileUri | None, Field(description="Where they are fetched from. As for sql.uri.")] = None
    sha256: Annotated[Sha256 | None, Field(description="The SHA-256 of what uri gives.")] = None


def _script_bytes(sql: "SqlSpec") -> int:
    return sum(len(text.encode()) for text in (sql.script, *(init.script for init in sql.init_from)) if text)


class SqlSpec(SourceSpec):
    """A SQL script that is run as one job."""

    RULES = (
        exactly_one("spec.sql", "script", "configMapKeyRef", "uri"),
        sha256_with_uri("spec.sql"),
        Rule(
            "(has(self.script) ? size(bytes(self.script)) : 0) + (has(self.initFrom) ? "
            "self.initFrom.map(init, has(init.script) ? size(bytes(init.script)) : 0).sum() : 0) "
            f"<= {MOST_SCRIPT_BYTES}",
            f"spec.sql: at most {MOST_SCRIPT_BYTES} bytes together",
            lambda sql: _script_bytes(sql) <= MOST_SCRIPT_BYTES,
        ),
        *access_rules("spec.sql"),
    )

    script: Annotated[
        ScriptText | None, Field(description="The statements, each but the last ended by a semicolon.")
    ] = None
    config_map_key_ref: Annotated[
        NamedKey | None,
        Field(
            description="The script is in a ConfigMap of the same namespace. A change of its text is a change of the spec, "
            "and is seen within half a minute; where FlinkJobs name more than 50 ConfigMaps, namespaces take turns, and it "
            "may take longer. While it is missing, the job that runs goes on."
        ),
    ] = None
    uri: Annotated[
        FileUri | None,
        Field(description="Where the script is fetched from; a text in UTF-8. As for jar.uri, but not by maven."),
    ] = None
    sha256: Annotated[Sha256 | None, Field(description="The SHA-256 of what uri gives.")] = None
    init_from: Annotated[
        tuple[ScriptInit, ...],
        Field(
            max_length=8,
            description="Statements that come before the script, such as those that create catalogs, tables and functions "
            "that several jobs share.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


class DependencyJar(SourceSpec):
    """A jar that a job needs besides its own classes."""

    RULES = access_rules("spec.dependencies.jars")

    uri: Annotated[ArtifactUri, Field(description="Where the jar is fetched from. As for jar.uri.")]
    sha256: Annotated[
        Sha256 | None,
        Field(description="The jar's SHA-256 in lower-case hexadecimal; a jar with another content is refused."),
    ] = None


class DependenciesSpec(SpecModel):
    """What a job needs besides its own classes."""

    jars: Annotated[
        tuple[DependencyJar, ...],
        Field(
            min_length=1,
            max_length=16,
            description="Jars whose files are put beside those of the job into the one jar that is uploaded: connectors, "
            "formats, functions. Their `META-INF/services` are joined; of a class that several have, the first one's counts, "
            "and an Event says so. All of them together have at most 65,535 files.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
