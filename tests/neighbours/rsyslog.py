"""rsyslog from Debian, which takes messages over TLS and writes each to a file."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from audit_log.process.tls import KeyPair
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_port, is_listening

_PROGRAM: Final = "/usr/sbin/rsyslogd"
_CONFIGURATION: Final = """
global(workDirectory="{folder}" maxMessageSize="8k"
       defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile="{certificate}"
       defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"
       streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="whole" type="string" string="%app-name% %msgid% %msg%\\n")
action(type="omfile" file="{folder}/messages" template="whole" asyncWriting="off")
"""


class Rsyslog:
    """A receiver that keeps its port when it is stopped and started again."""

    def __init__(self, folder: Path, pair: KeyPair) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "rsyslog.conf").write_text(
            _CONFIGURATION.format(
                folder=folder, certificate=pair.certificate, key=pair.key, port=self.port
            )
        )

    async def start(self) -> None:
        self._start()

        async def look() -> bool:
            return is_listening(self.port)

        await eventually(look, (self._folder / "words").read_text)

    def _start(self) -> None:
        with (self._folder / "words").open("ab") as words:
            self._process = subprocess.Popen(
                (_PROGRAM, "-n", "-f", self._folder / "rsyslog.conf", "-i", "NONE"),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def messages(self) -> list[str]:
        """Return what it has taken: program, kind and text of each message."""
        file = self._folder / "messages"
        return file.read_text().splitlines() if file.exists() else []


@asynccontextmanager
async def rsyslog_of(folder: Path, pair: KeyPair) -> AsyncIterator[Rsyslog]:
    """Run a receiver with the certificate of *pair*; skip the test where it is not installed."""
    if shutil.which(_PROGRAM) is None:
        pytest.skip("needs Debian's rsyslog and rsyslog-openssl")
    rsyslog = Rsyslog(folder, pair)
    await rsyslog.start()
    try:
        yield rsyslog
    finally:
        rsyslog.stop()
