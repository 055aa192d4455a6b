"""HTTP connections of our own below httpx: to checked addresses only, and each ended in order.

Used by `flink`, `artifacts`, `runtime` and `app`. What an answer means is known there, here only how much of it is read.
"""
