"""Chaos on real components: everything is killed at random while specs change, and every record is counted afterwards."""
