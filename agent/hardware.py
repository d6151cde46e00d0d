"""What the kernel says of the machine below /sys and /proc: disks, network interfaces, what it runs in. A few file
reads, and nothing is started for it."""

from pathlib import Path

from contracts.hosts import Disk, NetworkInterface

ROOT = Path("/")
MOST = 64
SECTOR_BYTES = 512
"""In which /sys counts, whatever the disk has."""
NO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
HYPERVISORS = {
    "qemu": "kvm",
    "kvm": "kvm",
    "vmware": "vmware",
    "virtualbox": "virtualbox",
    "innotek": "virtualbox",
    "xen": "xen",
    "microsoft corporation virtual": "hyper-v",
    "amazon ec2": "amazon",
    "google compute": "google",
    "alibaba cloud": "alibaba",
    "openstack": "openstack",
    "bochs": "qemu",
}
"""A word of maker and model → what that means."""


def disks(root: Path = ROOT) -> tuple[Disk, ...]:
    found = [_disk(each) for each in _below(root / "sys/block") if not each.name.startswith(NO_DISKS)]
    return tuple(disk for disk in found if disk.size_bytes)[:MOST]


def interfaces(root: Path = ROOT) -> tuple[NetworkInterface, ...]:
    """Those with hardware behind them, and bonds of such."""
    folders = [each for each in _below(root / "sys/class/net") if _is_real(each)]
    return tuple(
        NetworkInterface(
            name=each.name[:200],
            address=_text(each / "address")[:200],
            mtu=_number(each / "mtu"),
            up=_text(each / "operstate") == "up",
        )
        for each in folders[:MOST]
    )


def product(root: Path = ROOT) -> str:
    names = (_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name"))
    return " ".join(filter(None, names))


def virtualisation(root: Path = ROOT) -> str:
    """Empty if nothing says that this is no bare metal."""
    for mark, name in (("run/.containerenv", "podman"), (".dockerenv", "docker")):
        if (root / mark).exists():
            return name
    machine = product(root).lower()
    known = next((name for word, name in HYPERVISORS.items() if word in machine), "")
    return known or _text(root / "sys/hypervisor/type") or ("unknown" if _has_hypervisor(root) else "")


def _has_hypervisor(root: Path) -> bool:
    flags = next((line for line in _text(root / "proc/cpuinfo").splitlines() if line.startswith("flags")), "")
    return "hypervisor" in flags.split()


def _disk(folder: Path) -> Disk:
    return Disk(
        name=folder.name[:200],
        size_bytes=min(_number(folder / "size") * SECTOR_BYTES, 2**60),
        model=_text(folder / "device/model")[:200],
        rotates=_text(folder / "queue/rotational") == "1",
    )


def _is_real(folder: Path) -> bool:
    return (folder / "device").exists() or (folder / "bonding").exists()


def _below(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
