"""The contract with Flink: the same tests against the simulator and against real clusters.

What the operator relies on is written here once; a version of Flink, or the simulator, that behaves otherwise fails.
Environment: `FLINKJOB_CONTRACT_VERSIONS`, comma-separated, `all`, or `none` (simulator only); by default 2.3.0 and 1.20.5.
"""
