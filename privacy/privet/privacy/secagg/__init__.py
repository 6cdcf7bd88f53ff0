"""Secure aggregation: SecAgg+ with a signed consistency round, as state machines without I/O.

The server learns the sum modulo 2**32 of the survivors' vectors, who took part and when, and
nothing else, if at most the assumed fraction of the roster is corrupt. `docs/secure-aggregation.md`
has the protocol in one page, what it gives against whom, and what it does not.

Read in this order: `parameters` (the table of k and t), `terms` (what a device agreed to),
`primitives`, `shamir`, `graph`, `wire` and `messages` (formats), `roster`, `client`, `server`.
"""
