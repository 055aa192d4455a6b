"""Where the first run's state comes from: a savepoint, what is newest, a copy in an object store. Part of a FlinkJob's spec.

Invariant: nothing of it is read once a run was started, unless its nonce changes.
"""

from typing import Annotated, Final

from pydantic import Field

from flinkjob.api.common import Location, ObjectName
from flinkjob.api.enums import InitialStateStrategy
from flinkjob.api.model import Rule, SpecModel, one_of
from flinkjob.api.sync import StoreAccess, StoreUri, file_rule


class CopySpec(StoreAccess):
    """A place that holds copies of a job's snapshots."""

    RULES = (file_rule("spec.initialState.copies"),)

    uri: Annotated[
        StoreUri,
        Field(description="The uri that syncTo had; file: is a directory that is mounted into the operator."),
    ]
    namespace: Annotated[
        Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] | None,
        Field(description="The namespace of the job that was copied. Defaults to this object's."),
    ] = None
    job: Annotated[
        ObjectName | None,
        Field(
            description="The FlinkJob that was copied, or the Flink job's id where there was none. Defaults to this object's "
            "name."
        ),
    ] = None
    sequence_number: Annotated[
        int | None, Field(ge=1, le=2**53, description="Which copy. Defaults to the newest complete one.")
    ] = None
    flink_uri: Annotated[
        Location | None,
        Field(description="URI prefix passed to Flink in place of uri (abfss:// for az://). Defaults to uri."),
    ] = None


class SavepointRef(SpecModel):
    """A FlinkSavepoint of the same namespace."""

    name: Annotated[ObjectName, Field(description="Its name.")]


# The API server also tries rules on the object's own default, `{}`, before its leaves are filled in.
_CUSTOM: Final = "(has(self.strategy) && self.strategy == 'Custom')"


class InitialStateSpec(SpecModel):
    """Where the first run's state comes from. Restarts and upgrades never read it."""

    RULES = (
        Rule(
            f"!{_CUSTOM} || {one_of('location', 'savepointRef', 'copies')}",
            "spec.initialState: strategy Custom needs exactly one of location, savepointRef and copies",
            lambda state: not state.is_custom or state.named == 1,
        ),
        Rule(
            f"{_CUSTOM} || !(has(self.location) || has(self.savepointRef) || has(self.copies))",
            "spec.initialState: location, savepointRef and copies need strategy: Custom",
            lambda state: state.is_custom or state.named == 0,
        ),
    )

    strategy: Annotated[
        InitialStateStrategy,
        Field(
            description="Latest: the newest completed FlinkSavepoint of this job; none = empty, and status says so. "
            "Earliest: the oldest one. Custom: location, savepointRef or copies; not found = Stalled. None: empty."
        ),
    ] = InitialStateStrategy.LATEST
    location: Annotated[
        Location | None, Field(description="A savepoint or retained checkpoint, as Flink names it. Only with Custom.")
    ] = None
    savepoint_ref: Annotated[
        SavepointRef | None, Field(description="A completed FlinkSavepoint of the same namespace. Only with Custom.")
    ] = None
    copies: Annotated[
        tuple[CopySpec, ...],
        Field(
            min_length=1,
            max_length=8,
            description="Copies made by syncTo, here or elsewhere: the first of these places that has a complete one is "
            "started from, and stays as it is. Looked up at the moment of submission; none = Stalled, and looked for "
            "again. Only with Custom.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    nonce: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**53,
            description="Change it to run the job again from what initialState says, instead of from its own "
            "newest state. Taking it away changes nothing.",
        ),
    ] = None

    @property
    def is_custom(self) -> bool:
        """Whether location, savepointRef or copies name the state."""
        return self.strategy is InitialStateStrategy.CUSTOM

    @property
    def named(self) -> int:
        """How many of location, savepointRef and copies are given."""
        return (self.location is not None) + (self.savepoint_ref is not None) + bool(self.copies)
