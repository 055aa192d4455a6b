"""The two kinds, FlinkJob and FlinkSavepoint, as pydantic models: the one source of the CRDs, of the reference and of
the parsing.

Known by every other package; imports nothing but pydantic and the standard library.
"""
