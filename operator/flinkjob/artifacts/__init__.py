"""Where jars come from: downloads and directories, and the content-addressed cache that keeps them.

Used by `runtime`, and by `cli` for the jar of a query. No Flink and no Kubernetes here; an HTTP client is given.
"""
