"""Audits: bounds of privacy loss from below, each with the smallest flaw that it would have seen."""
