import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.neighbours.program import CHECKOUT
from tests.system.debian import debian_root, fetched_wheels, need, run

PLACE = "opt/podwarden-audit"
DATABASE = "AUDIT_LOG_DATABASE_URL=postgresql://nobody@127.0.0.1:1/none\n"
# As docs/deploy.md says, without `podwarden-audit`; pip finds its packages in a directory.
INSTALL = f"""
cd /{PLACE}
python3 -m venv .venv
.venv/bin/python -m pip install --no-deps --require-hashes -r requirements/runtime.lock
"""
LOOK = """
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /machine.py
StandardOutput=append:/seen
StandardError=append:/seen
ExecStopPost=/usr/bin/systemctl poweroff --force --force
[Install]
WantedBy=multi-user.target
"""
# Booting needs one kind of cgroups; this machine may have both.
BOOT = """
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
exec systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --directory="$1" \
  </dev/null
"""


@pytest.fixture
def machine() -> Iterator[Path]:
    need("debootstrap", "systemd-nspawn", "unshare")
    with tempfile.TemporaryDirectory(prefix="machine-") as directory:
        root = Path(directory) / "root"
        debian_root(root, "systemd", "systemd-sysv", "dbus")
        for package in ("audit_log", "proxy", "audit_api", "requirements"):
            shutil.copytree(CHECKOUT / package, root / PLACE / package)
        fetched_wheels(root / "wheels")
        offline = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")
        run("chroot", root, *offline, "sh", "-ec", INSTALL)
        yield root


@pytest.mark.timeout(900)
def test_systemd_runs_the_services_confined_and_the_newest_records_outlive_a_kill(machine):
    units = machine / "etc/systemd/system"
    for unit in (CHECKOUT / "deploy" / "systemd").glob("*.service"):
        shutil.copy(unit, units)
    settings = machine / "etc/podwarden-audit"
    settings.mkdir()
    (settings / "audit-api.env").write_text(DATABASE)
    (settings / "ingest.env").write_text(f"{DATABASE}AUDIT_LOG_NATS_URLS=nats://127.0.0.1:1\n")
    (settings / "proxy.env").write_text(f"{DATABASE}PROXY_UPSTREAM_URL=http://127.0.0.1:9\n")
    shutil.copy(Path(__file__).with_name("machine.py"), machine)
    (units / "look.service").write_text(LOOK)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants" / "look.service").symlink_to("../look.service")

    run("timeout", "300", "unshare", "--mount", "sh", "-ec", BOOT, "sh", machine)

    said, *_ = (machine / "seen").read_text().splitlines()
    assert json.loads(said) == {
        "is_confined": True,
        "is_root": False,
        "ring": [".calls", ".head"],
        "ring_outlived_a_kill": True,
        "exits": [["success", "0"]] * 3,
    }
