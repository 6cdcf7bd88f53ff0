"""Operating a federation: its directory, settings, certificates, metrics and logs."""
