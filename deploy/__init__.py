"""Everything that puts the operator somewhere: chart, kustomize, examples, and the local environment."""
