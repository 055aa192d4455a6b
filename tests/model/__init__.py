"""The real reconciler over the Flink simulator and an API server in memory: virtual time, crashes between any two effects."""
