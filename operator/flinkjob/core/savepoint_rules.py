"""Which failures of savepoints are final."""

from __future__ import annotations

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


def is_final(cause: str) -> bool:
    """Whether a failed savepoint would fail again whatever the job does: its directory cannot be written."""
    return any(words in cause for words in _FINAL)
