"""Runs as root inside the machine that test_systemd_boot boots; tells what it saw as JSON."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PROXY = "podwarden-audit-proxy"
UNITS = (PROXY, "podwarden-audit-api", "podwarden-audit-ingest")
RING = Path("/run/private/podwarden-audit")
PATIENCE_SECONDS = 60


def systemctl(*words: str) -> str:
    return subprocess.run(
        ["systemctl", *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def shown(unit: str, what: str) -> str:
    return systemctl("show", f"--property={what}", "--value", unit)


def wait_until_alive(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def seen() -> dict[str, object]:
    systemctl("start", *UNITS)
    wait_until_alive(8109)
    wait_until_alive(8110)
    wait_until_alive(8108)
    pid = int(shown(PROXY, "MainPID"))
    status = Path(f"/proc/{pid}/status").read_text()
    files = sorted(path.suffix for path in RING.iterdir())
    (RING / "mark").touch()
    os.kill(pid, signal.SIGKILL)
    while shown(PROXY, "NRestarts") != "1":
        time.sleep(0.1)
    wait_until_alive(8109)
    ring_outlived = (RING / "mark").exists()
    systemctl("stop", *UNITS)
    return {
        "is_confined": all(
            line in status for line in ("CapBnd:\t0000000000000000", "NoNewPrivs:\t1")
        ),
        "is_root": "Uid:\t0" in status,
        "ring": files,
        "ring_outlived_a_kill": ring_outlived,
        "exits": [(shown(unit, "Result"), shown(unit, "ExecMainStatus")) for unit in UNITS],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(seen()) + "\n")
