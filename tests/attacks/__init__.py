"""Attacks by servers that others run: what they send never costs more than it should."""
