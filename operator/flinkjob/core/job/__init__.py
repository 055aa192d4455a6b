"""The decision about a FlinkJob: one entrance (`decide`), and one module for each state of a run and each wish."""
