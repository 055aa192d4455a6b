"""Where jars come from: downloads and directories, and the content-addressed cache that keeps them.

Used by `runtime`. No Flink and no Kubernetes here; an HTTP client is given.
"""
