"""Ranking on the device: search, re-ranking, context and explanations. Pure functions, no storage."""
