"""Rotel, a collector of OpenTelemetry that others keep: what it takes, it hands to one of ours."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.neighbours.collector import Collector
from tests.neighbours.log_receivers import LogReceiver
from tests.neighbours.patience import eventually
from tests.neighbours.ports import free_ports

_STOP_SECONDS = 20


@asynccontextmanager
async def rotel_before(collector: Collector | LogReceiver) -> AsyncIterator[str]:
    """Yield where Rotel takes what *collector* does, by OTLP over HTTP."""
    base, version, signal = collector.url.partition("/v1/")
    spec = find_spec("rotel")
    assert spec is not None
    assert spec.origin is not None
    http, grpc = free_ports(2)

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", http)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    with tempfile.TemporaryDirectory(prefix="rotel-") as directory:
        process = await asyncio.create_subprocess_exec(
            *(Path(spec.origin).with_name("rotel-agent"), "start"),
            *("--otlp-http-endpoint", f"127.0.0.1:{http}"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"),
            *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
            *("--otlp-exporter-endpoint", base),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert await eventually(listens)
            yield f"http://127.0.0.1:{http}{version}{signal}"
        finally:
            process.terminate()
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
