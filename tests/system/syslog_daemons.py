"""rsyslog and syslog-ng of Debian, which write what they receive over TLS to a file."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from audit_log.process.tls import KeyPair
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port
from tests.system.debian import run

_STOP_SECONDS: Final = 20
_TRIPLET: Final = "x86_64-linux-gnu"
_RSYSLOG: Final = """
global(
    workDirectory="{directory}"
    DefaultNetstreamDriverCAFile="{pair.certificate}"
    DefaultNetstreamDriverCertFile="{pair.certificate}"
    DefaultNetstreamDriverKeyFile="{pair.key}"
)
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="raw" type="string" string="%msgid% %msg%\\n")
action(type="omfile" file="{file}" template="raw")
"""
_SYSLOG_NG: Final = """
@version: 3.35
source s_tls {{
    syslog(ip("127.0.0.1") port({port}) transport("tls")
        tls(key-file("{pair.key}") cert-file("{pair.certificate}")
            peer-verify(optional-untrusted)));
}};
destination d_file {{ file("{file}" template("$MSGID $MSG\\n")); }};
log {{ source(s_tls); destination(d_file); flags(flow-control); }};
"""


class Daemon:
    """One of the two: where it listens, and what it has written."""

    def __init__(self, directory: Path, program: str, pair: KeyPair, root: Path) -> None:
        self.port = free_port()
        self.file = directory / f"{program}.log"
        self._configuration = directory / f"{program}.conf"
        self._directory = directory
        self._program = program
        self._root = root
        form = _RSYSLOG if program == "rsyslogd" else _SYSLOG_NG
        self._configuration.write_text(
            form.format(directory=directory, pair=pair, port=self.port, file=self.file)
        )
        self._process: asyncio.subprocess.Process | None = None

    @property
    def lines(self) -> list[str]:
        """What it has written."""
        return self.file.read_text().splitlines() if self.file.exists() else []

    async def start(self) -> None:
        """Run it; return when it listens."""
        libraries = f"{self._root}/usr/lib/syslog-ng"
        found = [libraries, f"{self._root}/usr/lib/{_TRIPLET}", f"{self._root}/lib/{_TRIPLET}"]
        files = [self._directory / f"{self._program}.{kind}" for kind in ("pid", "state", "ctl")]
        if self._program == "rsyslogd":
            command = ["rsyslogd", "-n", "-f", str(self._configuration), "-i", str(files[0])]
        else:
            command = [f"{self._root}/usr/sbin/syslog-ng", "-F", "--no-caps"]
            command += ["-f", str(self._configuration), "--module-path", f"{libraries}/3.38"]
            for option, file in zip(("-p", "-R", "-c"), files, strict=True):
                command += [option, str(file)]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(found)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await eventually(self._listens)

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def running_daemon(
    directory: Path, program: str, pair: KeyPair, root: Path = Path("/")
) -> AsyncIterator[Daemon]:
    """Run `rsyslogd`, or the `syslog-ng` below *root*, with the certificate of *pair*."""
    daemon = Daemon(directory, program, pair, root)
    try:
        await daemon.start()
        yield daemon
    finally:
        await daemon.kill()


def syslog_ng_in(directory: Path) -> Path:
    """Unpack Debian's syslog-ng in *directory*: installed, it would remove rsyslog. Return it."""
    libraries = ("libivykis0", "libnet1", "libpcre3", "libwrap0")
    run("apt-get", "download", "syslog-ng-core", *libraries, cwd=directory)
    for package in directory.glob("*.deb"):
        run("dpkg", "-x", package, directory)
    return directory
