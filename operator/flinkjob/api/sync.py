"""Copies of snapshots in an object store: where they go, and how far one is. Part of the specs and statuses of both kinds.

Invariant: no credential is in a spec, only the name of a Secret.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from flinkjob.api.common import ConditionMessage, Duration, Message, ObservedLocation, ShortWord, Text, Time, Word
from flinkjob.api.enums import CopyCheck, SavepointErrorCode, SavepointOrigin
from flinkjob.api.fieldclass import Marker
from flinkjob.api.model import STATUS_CONFIG, Rule, SpecModel
from flinkjob.api.references import NamedSecret, StoreKeyRef

StoreUri = Annotated[
    str,
    Field(
        min_length=6,
        max_length=512,
        pattern=r"^((s3|s3a|s3n|s3p|gs|az|abfs|abfss|wasb|wasbs)://[a-zA-Z0-9][^/?#\s]*(/[^?#\s]*)?|file:///[^?#\s]+)$",
    ),
]
"""A place in an object store (`s3://bucket/prefix`, `gs://…`, `az://container/…`) or in a mounted directory (`file:///…`)."""

Endpoint = Annotated[str, Field(min_length=8, max_length=512, pattern=r"^https?://[^/@\s?#]+(/[^@\s?#]*)?$")]
Region = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9-]+$")]


class StoreAccess(SpecModel):
    """How a store is reached. Without a Secret the operator's own identity is used, where the namespace was granted it."""

    endpoint: Annotated[
        Endpoint | None,
        Field(description="Of an S3-compatible store, of Azure's or of Google's. Defaults to the public one."),
    ] = None
    region: Annotated[Region | None, Field(description="The region of S3. Defaults to us-east-1.")] = None
    credentials_secret_ref: Annotated[
        NamedSecret | None,
        Field(
            description="A Secret with accessKeyId, secretAccessKey and perhaps sessionToken, with "
            "serviceAccountKey.json, or with accountName and accountKey; and with the annotation "
            "flinkjob.dev/use: store. Defaults to the operator's own identity, only below URIs that --store-grants gives to "
            "the namespace."
        ),
    ] = None
    ca: Annotated[
        StoreKeyRef | None, Field(description="Certificates (PEM) that are trusted besides the system's.")
    ] = None


class CopyRetentionSpec(SpecModel):
    """Which copies are deleted: those that exceed both limits, never the newest."""

    min_count: Annotated[int, Field(ge=1, le=10000, description="Number of newest copies that are always kept.")]
    min_age: Annotated[Duration, Field(description="Copies younger than this always stay.")]


def file_rule(field: str) -> Rule:
    """A mounted directory takes nothing that a store needs."""
    return Rule(
        "!self.uri.startsWith('file:') || !(has(self.endpoint) || has(self.region) || has(self.credentialsSecretRef)"
        " || has(self.ca))",
        f"{field}: a file: uri takes no endpoint, region, credentialsSecretRef or ca",
        lambda place: (
            not place.uri.startswith("file:")
            or (place.endpoint or place.region or place.credentials_secret_ref or place.ca) is None
        ),
    )


class SyncToSpec(StoreAccess):
    """Where a complete snapshot is copied to."""

    RULES = (file_rule("spec.syncTo"),)

    uri: Annotated[
        StoreUri,
        Field(
            description="The copy is written below it, to NAMESPACE/JOB/NUMBER-CHECKPOINT/; file: is a directory that is "
            "mounted into the operator."
        ),
    ]
    source: Annotated[
        StoreAccess | None,
        Field(
            description="How the store of the snapshot itself is read. Defaults to the operator's own identity or "
            "a mounted directory, only below URIs that --store-grants gives to the namespace."
        ),
    ] = None
    verify: Annotated[
        CopyCheck,
        Field(description="Size: the lengths of all files are compared. Checksum: the copy is read back as well."),
    ] = CopyCheck.SIZE
    retention: Annotated[
        CopyRetentionSpec | None, Field(description="Which copies of the job are deleted. Defaults to none.")
    ] = None
    take_over: Annotated[
        Annotated[str, Field(min_length=1, max_length=63)] | None,
        Field(description="Identity of the operator that owns this location today; set it to take ownership."),
    ] = None


class JobSyncToSpec(SyncToSpec):
    """Where the savepoints of a FlinkJob are copied to."""

    RULES = (file_rule("spec.savepoints.syncTo"),)

    origins: Annotated[
        tuple[SavepointOrigin, ...],
        Field(
            min_length=1,
            max_length=5,
            description="Which savepoints: those taken for these reasons. Manual: FlinkSavepoints of people, but those "
            "with a syncTo of their own. Defaults to all.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


SyncToField = Annotated[
    SyncToSpec | None,
    Field(
        description="Copy the snapshot to another store when it is complete. A canonical or native savepoint, or a "
        "checkpoint without references to other directories; others are SnapshotNotSelfContained."
    ),
    Marker.IMMUTABLE,
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncError:
    """Why a copy failed."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    error_code: Annotated[SavepointErrorCode, Field(description="Why, in one word of a closed list.")]
    message: Annotated[Message, Field(description="Why, in one line for people.")] = ""
    time: Annotated[Time | None, Field(description="When.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncStatus:
    """How far a copy is; written at most every 10 seconds."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    uri: Annotated[ObservedLocation | None, Field(description="The directory of the copy.")] = None
    sequence_number: Annotated[
        int | None,
        Field(ge=0, description="The number of the copy; it only grows for a job, and is never given twice."),
    ] = None
    objects: Annotated[int, Field(ge=0, description="Files that have arrived.")] = 0
    objects_total: Annotated[int | None, Field(ge=0, description="Files of the snapshot.")] = None
    bytes: Annotated[int, Field(ge=0, description="Bytes that have arrived.")] = 0
    bytes_total: Annotated[int | None, Field(ge=0, description="Bytes of the snapshot.")] = None
    start_time: Annotated[Time | None, Field(description="When it was begun.")] = None
    observed_time: Annotated[Time | None, Field(description="When the numbers were taken.")] = None
    end_time: Annotated[Time | None, Field(description="When it was complete or given up.")] = None
    duration: Annotated[Word | None, Field(description="How long it took, such as 1m1s.")] = None
    verified: Annotated[CopyCheck | None, Field(description="What was compared.")] = None
    failures: Annotated[int, Field(ge=0, description="How often it failed.")] = 0
    retry_time: Annotated[Time | None, Field(description="When it is tried again.")] = None
    error: Annotated[SyncError | None, Field(description="The last failure.")] = None


CopyUri = Annotated[str, Field(max_length=704)]
"""The directory of a copy: a store's URI, a namespace, a job and a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncSuccess:
    """A copy that is complete."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    name: Annotated[Text | None, Field(description="The FlinkSavepoint that was copied.")] = None
    sequence_number: Annotated[int | None, Field(ge=0, description="The number of the copy.")] = None
    uri: Annotated[CopyUri | None, Field(description="Its directory.")] = None
    bytes: Annotated[int, Field(ge=0, description="Its size.")] = 0
    duration: Annotated[ShortWord | None, Field(description="How long it took, such as 1m1s.")] = None
    time: Annotated[Time | None, Field(description="When it was complete.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncFailure:
    """A copy that failed."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    name: Annotated[Text | None, Field(description="The FlinkSavepoint that was to be copied.")] = None
    error_code: Annotated[SavepointErrorCode, Field(description="Why, in one word of a closed list.")]
    message: Annotated[ConditionMessage, Field(description="Why, in one line for people.")] = ""
    time: Annotated[Time | None, Field(description="When it first failed so.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncProgress:
    """A copy that is being made; how far it is is in the status of its FlinkSavepoint."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    name: Annotated[Text | None, Field(description="The FlinkSavepoint that is copied.")] = None
    start_time: Annotated[Time | None, Field(description="Since when.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredCopy:
    """A copy in an object store that a run was started from."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    sequence_number: Annotated[int, Field(ge=0, description="Its number.")]
    identity: Annotated[Word, Field(description="The operator that made it.")] = ""
    namespace: Annotated[Word, Field(description="The namespace of the job that was copied.")] = ""
    job: Annotated[Word, Field(description="That job's name.")] = ""
    time: Annotated[Time | None, Field(description="When the copy was complete.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSyncStatus:
    """How the copies of a FlinkJob's savepoints stand."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    last_success: Annotated[SyncSuccess | None, Field(description="The newest complete copy.")] = None
    last_failure: Annotated[
        SyncFailure | None, Field(description="The newest failure, until a copy is complete after it.")
    ] = None
    in_progress: Annotated[SyncProgress | None, Field(description="The copy that is being made.")] = None
