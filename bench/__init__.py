"""Interlock measured beside a direct connection and beside PgBouncer, in one run, on one machine (`make bench`).

Rounds are interleaved (direct, PgBouncer, Interlock, direct, ...), and a ratio is the median of the rounds' own ratios,
so that a neighbour's noise falls on all alike. CPU time is the operating system's account of every process of a proxy.
"""
