"""The encrypted store of what a device holds about its user."""
