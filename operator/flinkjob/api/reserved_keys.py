"""The keys of `flinkConfiguration` that a FlinkJob must not have, or has fields for. Read by the rules of the spec."""

from collections.abc import Mapping
from typing import Final

from flinkjob.api import flink_options

RESERVED_KEYS: Final[Mapping[str, str]] = {
    "execution.savepoint.path": "use spec.initialState",
    "execution.state-recovery.path": "use spec.initialState",
    "execution.state-recovery.ignore-unclaimed-state": "use spec.restore.allowNonRestoredState",
    "execution.savepoint.ignore-unclaimed-state": "use spec.restore.allowNonRestoredState",
    "execution.state-recovery.claim-mode": "use spec.restore.claimMode",
    "execution.savepoint-restore-mode": "use spec.restore.claimMode",
    "$internal.pipeline.job-id": "the operator chooses the job id",
    "parallelism.default": "use spec.parallelism",
    **dict.fromkeys(flink_options.SAVEPOINT_DIRECTORY, "use spec.savepoints.directory"),
}
"""Keys of flinkConfiguration that would undermine the operator or that its own calls override, and what to do instead."""

SQL_RESERVED_KEYS: Final[Mapping[str, str]] = {
    "table.dml-sync": "a script is submitted, and not waited for",
    "pipeline.jars": "use spec.dependencies.jars",
}
"""Further keys that a SQL job must not have, and what to do instead."""
PYTHON_RESERVED_KEYS: Final[Mapping[str, str]] = {
    flink_options.PYTHON_FILES: "use spec.python.files",
    flink_options.PYTHON_REQUIREMENTS: "use spec.python.requirements",
    flink_options.PYTHON_ARCHIVES: "use spec.python.archives",
    **dict.fromkeys(flink_options.PYTHON_EXECUTABLE, "use spec.python.executable"),
    "pipeline.jars": "use spec.dependencies.jars",
}
"""Further keys that a Python job must not have, and what to do instead."""
SQL_UIDS: Final = "table.exec.uid.generation"
"""With the value ALWAYS no savepoint can be restored, not even by the same script."""

DUPLICATE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "jobName": (flink_options.JOB_NAME,),
    "runtimeMode": (flink_options.RUNTIME_MODE,),
    "checkpoint.interval": (flink_options.CHECKPOINT_INTERVAL,),
    "checkpoint.mode": (flink_options.CHECKPOINT_MODE,),
    "checkpoint.directory": flink_options.CHECKPOINT_DIRECTORY,
    "checkpoint.retention": (flink_options.CHECKPOINT_RETENTION,),
}
"""Fields that are sent under these keys: when the field is set, the key must not be. `checkpoint.retention`
always is, by its default."""

FIXED_KEYS: Final = (*flink_options.CHECKPOINT_DIRECTORY, SQL_UIDS)
"""Keys of flinkConfiguration whose values the operator goes by, so that they must not change with a variable."""
