"""Reading the places where Flink keeps checkpoints and savepoints."""
