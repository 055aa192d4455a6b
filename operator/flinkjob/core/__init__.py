"""The pure core: what to do about a FlinkJob or a FlinkSavepoint, given what was observed. No I/O, clock or random."""
