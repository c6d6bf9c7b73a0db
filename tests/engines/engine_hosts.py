"""Machines of their own, as far as the network goes: namespaces on a bridge, inside that of `make flink`."""

from __future__ import annotations

import subprocess
from pathlib import Path

BRIDGE = "nightscore0"
HERE = "10.77.0.1"
"""The address of this process's own namespace on the bridge."""

_OURS = (BRIDGE, "nshost")


def strange_interfaces() -> list[str]:
    """Return the network interfaces of this namespace that are neither loopback nor made here."""
    return [name for name in _interfaces() if name != "lo" and not name.startswith(_OURS)]


class Host:
    """A network namespace with an address of its own and its own localhost, for as long as it is not closed."""

    def __init__(self, number: int) -> None:
        """Make the machine with that number, from 2 on, and the bridge if it is not there yet."""
        self.address = f"10.77.0.{number}"
        if BRIDGE not in _interfaces():
            _ip(f"link add {BRIDGE} type bridge")
            _ip(f"address add {HERE}/24 dev {BRIDGE}")
            _ip(f"link set {BRIDGE} up")
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo there; exec sleep infinity"], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"there\n"
        _ip(f"link add nshost{number} type veth peer name eth0 netns {self._holder.pid}")
        _ip(f"link set nshost{number} master {BRIDGE} up")
        for command in ("link set lo up", f"address add {self.address}/24 dev eth0", "link set eth0 up"):
            subprocess.run(self.words("ip", *command.split()), check=True)

    def words(self, *command: str) -> list[str]:
        """Return a command that runs another one there, in a process of the same number."""
        return ["nsenter", f"--target={self._holder.pid}", "--net", *command]

    def close(self) -> None:
        """End the machine; what still runs there keeps its namespace."""
        self._holder.kill()
        self._holder.communicate()


def _interfaces() -> list[str]:
    return [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)
