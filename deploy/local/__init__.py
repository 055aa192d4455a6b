"""A whole environment on one machine: a real Kubernetes control plane and a real Flink, without containers.

Used by `make local-up`, `make demo`, the tests and the benchmarks. Nothing here is imported by the operator.
"""
