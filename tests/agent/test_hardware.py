"""What the agent reads of the machine it is on."""

import pytest

from agent import facts, hardware


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_disks_are_those_with_a_size_that_are_made_of_something(tmp_path):
    block = tmp_path / "sys" / "block"
    for name, size in (
        ("sda", "1000\n"),
        ("nvme0n1", "2\n"),
        ("loop0", "9\n"),
        ("dm-0", "9\n"),
        ("sdb", "0\n"),
        ("x", "?"),
    ):
        (block / name / "device").mkdir(parents=True)
        (block / name / "queue").mkdir()
        (block / name / "size").write_text(size)
        (block / name / "queue" / "rotational").write_text("1\n" if name == "sda" else "0\n")
    (block / "sda" / "device" / "model").write_text("ACME 3000   \n")
    found = hardware.disks(tmp_path)
    assert [(each.name, each.size_bytes, each.model, each.rotates) for each in found] == [
        ("nvme0n1", 1024, "", False),
        ("sda", 512_000, "ACME 3000", True),
    ]


def test_interfaces_are_those_with_hardware_and_bonds(tmp_path):
    for name, real in (("eth0", "device"), ("bond0", "bonding"), ("veth1", ""), ("lo", "")):
        folder = tmp_path / "sys" / "class" / "net" / name
        (folder / real).mkdir(parents=True)
        (folder / "address").write_text("02:00:00:00:00:01\n")
        (folder / "mtu").write_text("1500\n")
        (folder / "operstate").write_text("up\n" if name == "eth0" else "down\n")
    found = hardware.interfaces(tmp_path)
    assert [(each.name, each.address, each.mtu, each.up) for each in found] == [
        ("bond0", "02:00:00:00:00:01", 1500, False),
        ("eth0", "02:00:00:00:00:01", 1500, True),
    ]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ""),
        ({"sys__class__dmi__id__sys_vendor": "QEMU\n", "sys__class__dmi__id__product_name": "Standard PC"}, "kvm"),
        ({"sys__class__dmi__id__sys_vendor": "Dell Inc.\n", "proc__cpuinfo": "flags : fpu hypervisor x\n"}, "unknown"),
        ({"sys__class__dmi__id__sys_vendor": "Dell Inc.\n", "proc__cpuinfo": "flags : fpu\n"}, ""),
        ({"sys__hypervisor__type": "xen\n"}, "xen"),
        ({"run__.containerenv": "", "sys__class__dmi__id__sys_vendor": "QEMU"}, "podman"),
    ],
)
def test_it_is_told_what_the_host_runs_in(tmp_path, files, said):
    write(tmp_path, **files)
    assert hardware.virtualisation(tmp_path) == said


def test_a_machine_that_says_nothing_has_nothing(tmp_path):
    assert (hardware.disks(tmp_path), hardware.interfaces(tmp_path), hardware.product(tmp_path)) == ((), (), "")


def test_the_facts_of_this_machine_fit_the_contract():
    gathered = facts.gather()
    assert all(disk.size_bytes for disk in gathered.disks)
    assert len(gathered.interfaces) <= hardware.MOST
