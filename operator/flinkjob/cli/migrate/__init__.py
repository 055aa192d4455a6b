"""Manifests of other Flink operators, translated: `fields` keeps count of what was read, `options` Flink's configuration,
`official` and `snapshot` the Apache operator's kinds, `spotify` the FlinkCluster, `report` what a person reads.

Invariant: every field of a source is either in what was made of it, or named in the report.
"""
