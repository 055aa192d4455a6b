"""flinkjob-operator: runs Flink jobs the GitOps way on any Flink cluster."""

__version__ = "0.1.0"
