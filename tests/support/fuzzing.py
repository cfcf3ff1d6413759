"""Settings and input streams that the fuzz tests share."""

import io
import os

from hypothesis import HealthCheck, settings

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "300"))
"""Total number of generated requests."""

TIMEOUT = 20
"""Seconds allowed for a response, on a machine that is busy with other tests."""


def fuzz_settings(percent: int) -> settings:
    """Return hypothesis settings for a share of REQUESTS; random only if FUZZ_REQUESTS is set."""
    return settings(
        max_examples=REQUESTS * percent // 100,
        derandomize="FUZZ_REQUESTS" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


class ReceivedBytes(io.BytesIO):
    """Received data, as the socket that HTTPResponse reads from."""

    def makefile(self, mode: str) -> "ReceivedBytes":
        return self

    def close(self) -> None:
        """Stay open: another response may follow."""
