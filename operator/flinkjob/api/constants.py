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
LABEL_VARIABLES: Final = f"{GROUP}/operator-variables"
"""On a namespace: `allowed` where its FlinkJobs may use the variables of the operator."""
LABEL_SHARED: Final = f"{GROUP}/shared-by"
"""On a Lease of replicas that share the clusters out: the name of the Lease of the operator."""

ANNOTATION_RESTARTED_AT: Final = f"{GROUP}/restartedAt"
ANNOTATION_FORCE_DELETE: Final = f"{GROUP}/force-delete"
ANNOTATION_RESULT: Final = f"{GROUP}/result"
ANNOTATION_ADOPT: Final = f"{GROUP}/adopt"
ANNOTATION_ABANDON: Final = f"{GROUP}/abandon"
ANNOTATION_ALLOW_FROM: Final = f"{GROUP}/allow-from"
ANNOTATION_USE: Final = f"{GROUP}/use"
"""On a Secret: what its values may be sent to, `cluster`, `store` or both with a comma."""

GITOPS_MARKS: Final = (
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
    "meta.helm.sh/release-name",
)
"""Labels or annotations of objects that a GitOps tool owns."""
READ_ANNOTATIONS: Final = frozenset(
    {
        ANNOTATION_RESTARTED_AT,
        ANNOTATION_FORCE_DELETE,
        ANNOTATION_RESULT,
        ANNOTATION_ADOPT,
        ANNOTATION_ABANDON,
        *GITOPS_MARKS,
    }
)
"""All that are read of a FlinkJob or a FlinkSavepoint; no other is kept in memory."""
READ_LABELS: Final = frozenset({LABEL_JOB, LABEL_ORIGIN, *GITOPS_MARKS})
"""The same of labels."""
MAX_ANNOTATION: Final = 4096
"""Characters of an annotation that the operator writes, at most."""

MAX_JOB_NAME: Final = 45
"""Longest name of a FlinkJob: names of savepoints and revisions are made from it and must fit into 63 characters."""
MAX_STATUS_BYTES: Final = 48 * 1024
