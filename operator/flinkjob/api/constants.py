"""Names of the API group. Every label, annotation and finalizer of the operator is built here, so that the "
"group is written once."""

from typing import Final

GROUP: Final = "flinkjob.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

JOB_KIND: Final = "FlinkJob"
JOB_PLURAL: Final = "flinkjobs"
SAVEPOINT_KIND: Final = "FlinkSavepoint"
SAVEPOINT_PLURAL: Final = "flinksavepoints"

FINALIZER: Final = f"{GROUP}/job-cleanup"

LABEL_NAME: Final = f"{GROUP}/name"
"""In `status.selector` of a FlinkJob: unique, matches no Pod."""
LABEL_JOB: Final = f"{GROUP}/job"
"""On a FlinkSavepoint and a ControllerRevision: the FlinkJob's name."""
LABEL_ORIGIN: Final = f"{GROUP}/origin"
"""On a FlinkSavepoint: why it was made, a word of `SavepointOrigin`."""

ANNOTATION_RESTARTED_AT: Final = f"{GROUP}/restartedAt"
ANNOTATION_FORCE_DELETE: Final = f"{GROUP}/force-delete"
ANNOTATION_RESULT: Final = f"{GROUP}/result"
ANNOTATION_ADOPT: Final = f"{GROUP}/adopt"
ANNOTATION_ABANDON: Final = f"{GROUP}/abandon"
ANNOTATION_ALLOW_FROM: Final = f"{GROUP}/allow-from"
ANNOTATION_USE: Final = f"{GROUP}/use"
"""On a Secret: what its values may be sent to, `cluster`, `store` or both with a comma."""

MAX_JOB_NAME: Final = 45
"""Longest name of a FlinkJob: names of savepoints and revisions are made from it and must fit into 63 characters."""
MAX_STATUS_BYTES: Final = 48 * 1024
