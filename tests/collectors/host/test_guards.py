"""Claims about what guards a machine, one by one: ports, updates, the firewall's rules, and how programs are run."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from collectors.host.programs import MOST_BYTES, Programs, TooMuchError
from collectors.host.security.firewall import count_iptables, count_nftables
from collectors.host.security.listening import parse_table, programs_by_inode
from collectors.host.security.updates import lists_renewed_at, parse_apt, parse_dnf, reboot_wanted
from tests.builders import START
from tests.waiting import eventually

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   103        0 111 1 0 100 0 0 10 0
   1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 112 1 0 100 0 0 10 0
   2: 0100007F:0016 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 113 1 0 100 0 0 10 0
   3: 0A01A8C0:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 114 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 115 1
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 116 1
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 117 1
"""


def test_kernels_tables_are_read_as_addresses() -> None:
    """Both families; who can reach each; a connection is no listener."""
    assert [(one.port, one.address, one.scope) for table in (TCP, TCP6) for one in parse_table(table)] == [
        (5432, "0.0.0.0", "any"),  # noqa: S104 - somebody else's address
        (22, "127.0.0.1", "loopback"),
        (443, "192.168.1.10", "one"),
        (80, "::", "any"),
        (80, "::1", "loopback"),
        (8080, "::ffff:127.0.0.1", "loopback"),
    ]


@pytest.mark.integration
def test_process_that_ends_meanwhile_has_no_name(tmp_path: Path) -> None:
    """Its descriptors were still seen."""
    (tmp_path / "7/fd").mkdir(parents=True)
    (tmp_path / "8").mkdir()
    (tmp_path / "self").mkdir()
    for number, target in ((0, "/dev/null"), (1, "socket:[111]")):
        (tmp_path / "7/fd" / str(number)).symlink_to(target)
    assert programs_by_inode(tmp_path, ["111", "999"]) == {"111": ""}


APT = """\
NOTE: This is only a simulation!
Inst libssl3 [3.0.1-1] (3.0.2-1 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a] (2024b Debian:12.9/stable-updates [all]) []
Inst linux-image-6.1 (6.1.1 Debian:12.15/stable, Debian-Security:12/stable-security [amd64])
Conf libssl3 (3.0.2-1 Debian-Security:12/stable-security [amd64])
"""
DNF = """\
Last metadata expiration check: 0:10:02 ago.
FEDORA-2026-9a1b2c3d4e Important/Sec. openssl-libs-3.2.2-1.fc40.x86_64
RHSA-2026:1234 Moderate/Sec.  openssl-libs-3.2.2-1.fc40.x86_64
FEDORA-2026-2222222222 security Important vim-9.1-1.fc40.x86_64 2026-11-20 01:14:32
FEDORA-2026-1111111111 Low/Sec.       vim-9.1-1.fc40.x86_64
"""


def test_apt_and_dnf_are_understood() -> None:
    """What apt installs from a security origin; each package of dnf's advisories once."""
    apt = parse_apt(APT)
    assert [(one.package, one.wanted) for one in apt.security] == [("libssl3", "3.0.2-1"), ("linux-image-6.1", "6.1.1")]
    assert apt.others == 1
    dnf = parse_dnf(DNF)
    assert [one.package for one in dnf.security] == ["openssl-libs-3.2.2-1.fc40.x86_64", "vim-9.1-1.fc40.x86_64"]
    assert dnf.others is None


def test_descriptor_that_closes_meanwhile_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server opens and closes files all the time, and is the one that listens."""
    (tmp_path / "7/fd").mkdir(parents=True)
    (tmp_path / "7/comm").write_text("postgres\n")
    for number, target in ((3, "gone"), (4, "socket:[111]")):
        (tmp_path / "7/fd" / str(number)).symlink_to(target)
    real = os.readlink

    def readlink(path: str) -> str:
        if path.endswith("/3"):
            raise FileNotFoundError(2, "No such file", path)
        return real(path)

    monkeypatch.setattr(os, "readlink", readlink)
    assert programs_by_inode(tmp_path, ["111"]) == {"111": "postgres"}


def test_search_ends_with_the_last_socket(tmp_path: Path) -> None:
    """A machine has thousands of processes: nothing is looked for beyond what is wanted."""
    (tmp_path / "7/fd").mkdir(parents=True)
    assert programs_by_inode(tmp_path, []) == {}


def test_lists_that_are_being_renewed_are_left_out(tmp_path: Path) -> None:
    """A link that leads nowhere has no time."""
    (tmp_path / "var/cache/dnf").mkdir(parents=True)
    (tmp_path / "var/cache/dnf/a.solv").symlink_to(tmp_path / "nowhere")
    assert lists_renewed_at(tmp_path) is None


def test_age_of_the_lists_is_when_they_were_renewed(tmp_path: Path) -> None:
    """Whichever package manager did it last."""
    assert lists_renewed_at(tmp_path) is None
    for place, age in (("var/lib/apt/lists/partial", 500), ("var/cache/dnf/updates.solv", 300)):
        (tmp_path / place).mkdir(parents=True)
        os.utime(tmp_path / place, (START - age, START - age))
    assert lists_renewed_at(tmp_path) == START - 300


@pytest.mark.parametrize(
    ("running", "installed", "why"),
    [
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-10-amd64"], "kernel"),
        ("6.1.0-10-amd64", ["6.1.0-9-amd64", "6.1.0-10-amd64"], ""),
        ("6.18.44-of-the-host", ["6.1.0-9-amd64"], ""),
        ("6.1.0-9-amd64", [], ""),
        ("5.14.0-362.8.1.el9_3.x86_64", ["5.14.0-362.el9.x86_64", "5.14.0-362.8.1.el9_3.x86_64"], ""),
        ("5.14.0-362.el9.x86_64", ["5.14.0-362.el9.x86_64", "5.14.0-362.8.1.el9_3.x86_64"], "kernel"),
    ],
)
def test_newer_kernel_that_is_installed_wants_a_reboot(
    tmp_path: Path, running: str, installed: list[str], why: str
) -> None:
    """By number, not by letter; in a container nothing can be said."""
    (tmp_path / "boot").mkdir()
    for release in installed:
        (tmp_path / "boot" / f"vmlinuz-{release}").touch()
    assert reboot_wanted(tmp_path, running) == why


NFT = """\
table inet filter {
	set allowed {
		type ipv4_addr
		elements = { 10.0.0.1 }
	}
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		tcp dport { 22, 5432 } ip saddr @allowed accept
		jump more
	}
	chain more {
		tcp dport 80 accept
	}
}
table ip nat {
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		masquerade
	}
}
"""
IPTABLES = "*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"


def test_rules_that_decide_over_what_comes_in_are_counted() -> None:
    """A dropping policy is one; address translation is none; an empty rule set is 0."""
    assert count_nftables(NFT) == 5
    assert count_nftables("") == 0
    assert count_iptables(IPTABLES) == 2
    assert count_iptables("") == 0


async def test_what_a_program_left_running_ends_with_it(tmp_path: Path) -> None:
    """It ended itself, and its child holds on to its output: when it is given up the child ends too."""
    place = tmp_path / "child"
    script = f"/bin/sleep 300 & echo $! > {place}; exit 0"
    run = asyncio.create_task(Programs().run("/bin/sh", "-c", script, timeout_seconds=300))
    await eventually(lambda: place.exists() and place.read_text().endswith("\n"))
    child = int(place.read_text())
    await eventually(lambda: not _runs(int(_status(child, "PPid") or child)) or _status(child, "PPid") == "1")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await eventually(lambda: not _runs(child))


def _runs(process: int) -> bool:
    return _status(process, "State")[:1] not in {"", "Z"}


def _status(process: int, field: str) -> str:
    """A field of a process's status; nothing when it has ended."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next(line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(f"{field}:"))


async def test_program_is_bounded(tmp_path: Path) -> None:
    """On time and on what it says; and it runs at the lowest priority."""
    programs = Programs((str(tmp_path), "/usr/bin", "/bin"))
    with pytest.raises(TimeoutError):
        await programs.run("/bin/sleep", "300", timeout_seconds=0.05)
    with pytest.raises(TooMuchError, match=str(MOST_BYTES)):
        await programs.run("/usr/bin/yes", timeout_seconds=60)
    code = "import os, time\nwhile os.nice(0) != 19: time.sleep(0.01)\nprint('lowest')"
    ran = await programs.run(sys.executable, "-c", code, timeout_seconds=60)
    assert (ran.status, ran.output) == (0, "lowest\n")
    assert programs.find("no-such-program") is None
