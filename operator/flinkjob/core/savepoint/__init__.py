"""The decision about a FlinkSavepoint: one entrance (`decide`), and one module for each thing that it decides."""
