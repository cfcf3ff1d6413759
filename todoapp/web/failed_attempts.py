"""Counts failed attempts to sign in, for all workers."""

import mmap
import struct
import threading
from ipaddress import IPv6Address, ip_network
from time import monotonic

LIMIT = 5
WINDOW_SECONDS = 60
SLOTS = 1024
# Hash of the client, number of failures, when the window ends.
SLOT = struct.Struct("=qId")


class FailedAttempts:
    """Failed attempts by client address, in memory that is shared with forked processes.

    Two processes that count at the very same moment may count one attempt. A client can take the
    slot of another one, whose count then begins again; it cannot add to the other's count.
    """

    def __init__(self) -> None:
        self._slots = mmap.mmap(-1, SLOTS * SLOT.size)
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str) -> float:
        """Return the seconds until a client may try again; 0 if it may try now."""
        count, ends = self._read(hash(_client(address)))
        return ends - monotonic() if count >= LIMIT else 0

    def add(self, address: str) -> None:
        """Count a failed attempt."""
        key = hash(_client(address))
        with self._lock:
            count, ends = self._read(key)
            if not count:
                ends = monotonic() + WINDOW_SECONDS
            SLOT.pack_into(self._slots, _offset(key), key, count + 1, ends)

    def _read(self, key: int) -> tuple[int, float]:
        """Return the number of failures in the current window, and when it ends."""
        found, count, ends = SLOT.unpack_from(self._slots, _offset(key))
        return (count, ends) if found == key and monotonic() < ends else (0, 0.0)


def _offset(key: int) -> int:
    return key % SLOTS * SLOT.size


def _client(address: str) -> str:
    """Return the address, or its network if it is IPv6: one client has all addresses of a /64.

    All IPv4-mapped addresses are in one /64, so they are converted to IPv4.
    """
    if address.count(":") <= 1:
        # Some proxies append the port, which is another one for each connection.
        return address.partition(":")[0]
    try:
        parsed = IPv6Address(address)
    except ValueError:  # X-Forwarded-For may hold anything
        return address
    return str(parsed.ipv4_mapped or ip_network((int(parsed), 64), strict=False))
