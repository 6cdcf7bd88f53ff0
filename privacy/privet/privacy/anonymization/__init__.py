"""Pseudonyms, k-anonymity and its kin, re-identification risk, and thresholds for releases.

They gate exports of tables and releases about the catalogue. Protection of histories is bounded by
differential privacy only, and nothing here makes data anonymous in the legal sense.
"""
