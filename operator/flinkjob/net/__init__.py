"""HTTP connections of our own below httpx: to checked addresses only, and each ended in order.

Used by `flink`, `artifacts`, `runtime` and `app`; knows nothing of what is said over them.
"""
