"""The names of those options of Flink that the operator sets, reads or refuses; an older name of an option comes last."""

from __future__ import annotations

from typing import Final

JOB_NAME: Final = "pipeline.name"
RUNTIME_MODE: Final = "execution.runtime-mode"
GLOBAL_PARAMETERS: Final = "pipeline.global-job-parameters"
CHECKPOINT_INTERVAL: Final = "execution.checkpointing.interval"
CHECKPOINT_MODE: Final = "execution.checkpointing.mode"
CHECKPOINT_DIRECTORY: Final = ("execution.checkpointing.dir", "state.checkpoints.dir")
CHECKPOINT_RETENTION: Final = "execution.checkpointing.externalized-checkpoint-retention"
SAVEPOINT_DIRECTORY: Final = ("execution.checkpointing.savepoint-dir", "state.savepoints.dir")
UPLOAD_DIRECTORY: Final = "web.upload.dir"
TEMPORARY_DIRECTORY: Final = "web.tmpdir"
INTERCEPT_EXIT: Final = "cluster.intercept-user-system-exit"
HIGH_AVAILABILITY: Final = ("high-availability.type", "high-availability")
PYTHON_FILES: Final = "python.files"
PYTHON_REQUIREMENTS: Final = "python.requirements"
PYTHON_ARCHIVES: Final = "python.archives"
PYTHON_EXECUTABLE: Final = ("python.client.executable", "python.executable")
"""Of the JobManager, and of the TaskManagers."""
