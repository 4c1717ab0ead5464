"""Finds a browser for the browser tests; as a program, gets one where there is none.

`python tests/browser/find_browser.py` is part of the set-up. It does nothing where a browser is
installed already, and ends with one line where none can be had.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

# Debian's browser without a screen, which takes a fifth less CPU; Debian's and Fedora's
# names of the whole one, Google's, and where macOS keeps it.
_DEBIAN_SHELL: Final = "chromium-headless-shell"
_NAMES: Final = (
    *(_DEBIAN_SHELL, "chromium", "chromium-browser"),
    *("google-chrome-stable", "google-chrome"),
)
_MACOS: Final = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_MINUTES: Final = 60


def installed_browser() -> Path | None:
    """Return the Chromium or Chrome of this machine, or None; Playwright knows of its own."""
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return Path(found)
    return _MACOS if _MACOS.exists() else None


def main() -> None:
    """Make sure that there is a browser: this machine's, its distribution's, or Playwright's."""
    if installed_browser() or _distribution_gives() or _playwright_gives():
        return
    sys.exit(
        "The browser tests need Chromium or Chrome, and it could not be installed from here."
        " Install it (on Debian: apt-get install chromium) and try again."
    )


def _distribution_gives() -> bool:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    # The package lists of a fresh machine are empty, or older than what the mirror still has.
    return _installed_a_package() or (_done(["apt-get", "update"]) and _installed_a_package())


def _installed_a_package() -> bool:
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    return any(_done([*install, package]) for package in (_DEBIAN_SHELL, "chromium"))


def _playwright_gives() -> bool:
    return _done([sys.executable, "-m", "playwright", "install", "chromium"])


def _done(command: list[str]) -> bool:
    sys.stderr.write(f"The browser tests need a browser: {' '.join(command)}\n")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return (
            subprocess.run(
                command,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=10 * _MINUTES,
            ).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    main()
