"""The decision about a FlinkSavepoint: one entrance (`decide`), and one module for each way to get a snapshot."""
