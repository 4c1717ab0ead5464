"""The image: built by buildah on a Debian root, run by crun as its own words say."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tests.neighbours.program import CHECKOUT
from tests.neighbours.services import STOP_SECONDS, Service
from tests.system.debian import debian_root, fetched_wheels, run

BASE: Final = "plain-debian"
"""In place of the image that the Dockerfile names: no registry is asked."""


_CRUN: Final = """
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
exec crun --root "$PWD/crun" --cgroup-manager=disabled run --pid-file pid container
"""
"""crun refuses a machine with both kinds of cgroups, even if told to use none: it is shown one."""


class Container(Service):
    """A service in a container: signals and questions go to the first process in there."""

    def __init__(
        self, process: asyncio.subprocess.Process, complaints: BinaryIO, bundle: Path
    ) -> None:
        super().__init__(process, complaints)
        self._bundle = bundle

    @property
    def pid(self) -> int:
        return int((self._bundle / "pid").read_text())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep the first process from running."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    async def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> int:
        """Signal the first process, as an engine does, and return its exit code."""
        os.kill(self.pid, stop_signal)
        async with asyncio.timeout(STOP_SECONDS):
            return await self._process.wait()

    def execute(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run *words* inside, as the service's user and with its environment."""
        return subprocess.run(
            [
                *("nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"),
                *("setpriv", "--reuid=65532", "--regid=65532", "--clear-groups"),
                *words,
            ],
            env=dict(
                entry.split("=", 1)
                for entry in Path(f"/proc/{self.pid}/environ").read_text().split("\0")[:-1]
            ),
            check=False,
            capture_output=True,
            text=True,
        )


@dataclass(frozen=True, slots=True)
class Image:
    """A built image: its files, and what it says of how to run them."""

    root: Path
    config: Mapping[str, Any]

    @property
    def healthcheck(self) -> list[str]:
        """What an engine runs inside to learn whether the service lives."""
        kind, *words = self.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return list(words)

    @asynccontextmanager
    async def running(
        self, bundle: Path, *words: str, mounts: Mapping[str, Path], **environment: str
    ) -> AsyncIterator[Container]:
        """Run the image's entry point with *words*; stop it in order on leaving."""
        self._write_bundle(bundle, words, mounts, environment)
        readable, writable = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "sh", "-c", _CRUN),
            cwd=bundle,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=writable,
        )
        os.close(writable)
        container = Container(process, os.fdopen(readable, "rb"), bundle)
        try:
            await container.logged("service.started")
            yield container
            assert await container.stop() == 0, container.report()
        finally:
            if container.is_running and (bundle / "pid").exists():
                os.kill(container.pid, signal.SIGKILL)
            await container.kill()

    def run(self, bundle: Path, *words: str, **environment: str) -> str:
        """Run the image's entry point with *words* to its end; return what it said."""
        self._write_bundle(bundle, words, {}, environment)
        return run("unshare", "--mount", "sh", "-c", _CRUN, cwd=bundle)

    def _write_bundle(
        self,
        bundle: Path,
        words: tuple[str, ...],
        mounts: Mapping[str, Path],
        environment: Mapping[str, str],
    ) -> None:
        uid, gid = map(int, self.config["User"].split(":"))
        given = [f"{name}={value}" for name, value in environment.items()]
        config = {
            "ociVersion": "1.0.0",
            "process": {
                "user": {"uid": uid, "gid": gid},
                "args": [*self.config["Entrypoint"], *(words or self.config["Cmd"])],
                "env": [*self.config["Env"], *given],
                "cwd": self.config["WorkingDir"],
                "noNewPrivileges": True,  # and no capability: none is listed
            },
            "root": {"path": str(self.root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                *(
                    {
                        "destination": place,
                        "source": str(source),
                        "options": ["bind", "rw"],
                    }
                    for place, source in mounts.items()
                ),
            ],
            # No network namespace: the neighbours are on loopback.
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
        }
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(config))


@contextmanager
def built_image(directory: Path) -> Iterator[Image]:
    """Build the Dockerfile without any registry of images; no container is left."""
    store = [f"--root={directory / 'store'}", f"--runroot={directory / 'run'}"]
    buildah = ["buildah", "--storage-driver=vfs", *store]
    empty = run(*buildah, "from", "scratch").strip()
    # With the compiler that the Dockerfile asks for, and the headers that its own base has.
    debian_root(Path(run(*buildah, "mount", empty).strip()), "gcc", "libc6-dev", "python3-dev")
    run(*buildah, "commit", "--quiet", "--rm", empty, BASE)
    offline = directory / "pip.conf"
    offline.write_text("[install]\nno-index = true\nfind-links = /wheels\n")
    run(
        *buildah,
        *("bud", "--isolation=chroot", "--network=host", "--pull-never", "--format=docker"),
        f"--build-arg=PYTHON_IMAGE=localhost/{BASE}",
        f"--volume={fetched_wheels(directory / 'wheels')}:/wheels:ro",
        f"--volume={offline}:/etc/pip.conf:ro",
        *("--tag=podwarden-audit", CHECKOUT),
    )
    container = run(*buildah, "from", "--pull-never", "podwarden-audit").strip()
    try:
        described = json.loads(run(*buildah, "inspect", "--type=image", "podwarden-audit"))
        root = Path(run(*buildah, "mount", container).strip())
        yield Image(root, described["Docker"]["config"])
    finally:
        run(*buildah, "rm", container)
