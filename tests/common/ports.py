"""Ports for servers under test."""

import random
import socket

# Below the ports that systems give to clients and to who asks for any (IANA: 49152 and
# up, Linux: 32768 and up): nobody gets one of these by chance before its server has it.
FIRST, LAST = 12_000, 32_000
upcoming = random.randrange(FIRST, LAST)


def free_port():
    """A port nobody listens on, and that this program was not given before."""
    global upcoming
    for _ in range(FIRST, LAST):
        port, upcoming = upcoming, upcoming + 1 if upcoming + 1 < LAST else FIRST
        with socket.socket() as listener:
            # As servers do: connections of another server that had it do not matter.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no port is free")
