#!/usr/bin/env python3
"""Virtual machines of this host, as libvirt's `virsh` knows them: one JSON object a line. Standard library only."""

import json
import subprocess
import sys

LIST = ("virsh", "--connect", "qemu:///system", "--readonly", "list", "--all", "--name")
WAIT_S = 60


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=WAIT_S).stdout


def pairs(text: str) -> dict[str, str]:
    """`Name:  value`, line by line."""
    found = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in found}


def machine(name: str) -> dict[str, object]:
    told = pairs(said(*LIST[:4], "dominfo", name))
    memory = told.get("max memory", "0").split()[0]
    return {
        "kind": "vm",
        "name": name,
        "uuid": told.get("uuid", ""),
        "state": told.get("state", ""),
        "cpus": int(told.get("cpu(s)", "0")),
        "memory_bytes": int(memory) * 1024,
        "autostart": told.get("autostart", "") == "enable",
    }


def main() -> int:
    try:
        for name in said(*LIST).splitlines():
            if name.strip():
                print(json.dumps(machine(name.strip())))
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        print(f"virsh cannot tell: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
