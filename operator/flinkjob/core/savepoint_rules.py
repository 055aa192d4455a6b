"""Rules that the job and the savepoint decision share: where savepoints go, which failures are final."""

from __future__ import annotations

from flinkjob.core.model import ClusterSeen

_FINAL = (
    "Failed to create savepoint directory",
    "Mkdirs failed to create",
    "FileAlreadyExistsException",
    "AccessDeniedException",
    "NotDirectoryException",
    "Not a directory",
    "Permission denied",
    "Read-only file system",
    "UnsupportedFileSystemScheme",
    "Could not find a file system implementation",
)


def directory_for(cluster: ClusterSeen, wanted: str | None) -> str | None:
    """The base directory of a savepoint: the one asked for, else the cluster's own; None when there is neither."""
    return wanted or cluster.savepoint_directory


def is_final(cause: str) -> bool:
    """Whether a failed savepoint would fail again whatever the job does: its directory cannot be written."""
    return any(words in cause for words in _FINAL)
