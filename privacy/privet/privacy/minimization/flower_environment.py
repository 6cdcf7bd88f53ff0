"""What Flower reads from the environment when it is imported, set so that it reports nothing.

By default it sends version, platform and a persistent identifier, asks for updates, and installs
an app's dependencies at run time. Ray, on which its simulation runs, reports as well.
"""

import os

ENVIRONMENT = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns of what will be so by default
}


def quiet_flower() -> None:
    """Set the environment of this process; call it before anything imports ``flwr``."""
    os.environ.update(ENVIRONMENT)
