"""Bounded contributions, noise, accounting, ledgers, minimization and reports.

The leaves of the house: nothing here knows a model, a network or a transport.
"""
