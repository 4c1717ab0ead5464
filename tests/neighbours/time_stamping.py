"""A time-stamp authority: `openssl ts`, and an HTTP server in front of it."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import test_utils, web

_CONFIGURATION: Final = """
[req]
prompt = no
distinguished_name = name
[name]
CN = authority of a test
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[stamps]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.13762.3
other_policies = 1.3.6.1.4.1.13762.3
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class Authority:
    """What it has stamped, and what else it should respond."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""
        self.root = folder / "root.pem"
        self.responses: list[bytes] = []
        self.instead: bytes | None = None

    async def respond(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/timestamp-query"
        query, reply = self._folder / "query.tsq", self._folder / "reply.tsr"
        query.write_bytes(await request.read())
        await asyncio.to_thread(
            openssl,
            self._folder,
            *("ts", "-reply", "-section", "stamps", "-queryfile", str(query), "-out", str(reply)),
        )
        self.responses.append(reply.read_bytes())
        body = self.responses[-1] if self.instead is None else self.instead
        return web.Response(body=body, content_type="application/timestamp-reply")

    def verify(self, token: bytes, data: bytes) -> None:
        """Fail unless `openssl ts` finds that *token* is of *data*."""
        (self._folder / "token").write_bytes(token)
        (self._folder / "data").write_bytes(data)
        openssl(
            self._folder,
            *("ts", "-verify", "-token_in", "-in", str(self._folder / "token")),
            *("-data", str(self._folder / "data"), "-CAfile", str(self.root)),
        )


@asynccontextmanager
async def stamping(folder: Path, curve: str | None = None) -> AsyncIterator[Authority]:
    """Run an authority with an RSA key, or one on *curve*."""
    (folder / "openssl.cnf").write_text(_CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    _make_certificates(folder, ("rsa:2048",) if curve is None else ("ec", curve))
    authority = Authority(folder)
    app = web.Application()
    app.router.add_post("/tsr", authority.respond)
    async with test_utils.TestServer(app, host="127.0.0.1") as server:
        authority.url = str(server.make_url("/tsr"))
        yield authority


def _make_certificates(folder: Path, kind: tuple[str, ...]) -> None:
    key = ("-newkey", kind[0], *(("-pkeyopt", f"ec_paramgen_curve:{kind[1]}") if kind[1:] else ()))
    root = ("-keyout", f"{folder}/root.key", "-out", f"{folder}/root.pem", "-extensions", "root")
    openssl(folder, "req", "-x509", "-nodes", *key, "-days", "2", *root)
    request = ("-keyout", f"{folder}/tsa.key", "-out", f"{folder}/tsa.csr")
    openssl(folder, "req", "-nodes", *key, *request, "-subj", "/CN=stamps of a test")
    signer = ("-CA", f"{folder}/root.pem", "-CAkey", f"{folder}/root.key", "-CAcreateserial")
    signed = ("-in", f"{folder}/tsa.csr", "-out", f"{folder}/tsa.pem", "-days", "1")
    extensions = ("-extfile", f"{folder}/openssl.cnf", "-extensions", "tsa")
    openssl(folder, "x509", "-req", *signer, *signed, *extensions)


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl with the configuration in *folder*; fail if it fails."""
    takes_configuration = arguments[0] == "req" or "-reply" in arguments
    configuration = ("-config", f"{folder}/openssl.cnf") if takes_configuration else ()
    command = ("openssl", arguments[0], *arguments[1:2])
    if arguments[0] == "ts":
        command = ("openssl", *arguments[:2], *configuration, *arguments[2:])
    else:
        command = ("openssl", arguments[0], *configuration, *arguments[1:])
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}"
