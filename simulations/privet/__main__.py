"""``python -m privet``."""

from privet.simulations.cli import main

main()
