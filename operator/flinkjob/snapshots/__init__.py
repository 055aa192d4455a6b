"""The places where Flink keeps checkpoints and savepoints, and copies of them in other stores."""
