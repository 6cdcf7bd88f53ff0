"""Audits of whole federations: the run's own plan, played again with canaries, and attacked."""
