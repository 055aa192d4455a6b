"""The operator killed right before and right after each of its effects, and started again."""
