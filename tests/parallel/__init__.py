"""How `make test` runs the suites side by side: which tests stay together, who runs them when, and what is shown meanwhile.

A plugin of pytest-xdist, loaded by `tests/conftest.py`; with `-n 0` (or without `-n`) it does nothing but count.
"""
