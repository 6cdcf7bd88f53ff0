"""Preference models: one file each, with the device's half and the server's half side by side."""
