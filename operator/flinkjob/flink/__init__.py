"""Adapter to the Flink REST API: `FlinkClient`, typed answers, one error tree (`flinkjob.core.errors`)."""

from flinkjob.flink.client import FlinkClient

__all__ = ["FlinkClient"]
