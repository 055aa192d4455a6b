"""Kopf: the only importer of it besides the composition root. Handlers parse nothing and decide nothing."""
