"""Ranking metrics with confidence intervals, and centralised references."""
