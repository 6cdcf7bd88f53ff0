"""Data sets: importers, the synthetic world, splits."""
