"""Copies of snapshots in object stores: whose turn it is, and how one of them is followed."""
