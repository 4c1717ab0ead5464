"""`python -m audit_api`: the audit API as a process, set up from the environment."""

import asyncio
import signal
import sys
from collections.abc import Sequence

import structlog
import uvloop

from audit_api.app import serving
from audit_api.settings import AuditApiSettings
from audit_log.process.files import raise_file_limit
from audit_log.process.logs import set_up_logs
from audit_log.process.program import parse_no_arguments
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.sealing.key_file import SealKeyError
from audit_log.process.settings import AuditLogSettings
from audit_log.process.sockets import CannotListenError
from audit_log.process.tls import TlsFilesError

log = structlog.get_logger("audit_api")


def main(arguments: Sequence[str] | None = None, program: str = "python -m audit_api") -> int:
    """Serve until SIGTERM or SIGINT; exit with a one-line message if the service cannot start."""
    parse_no_arguments(arguments, program, "Answer questions about the audit log, until stopped.")
    reading = SettingsReading()
    shared, settings = reading.read(AuditLogSettings), reading.read(AuditApiSettings)
    if shared is None or settings is None or reading.complaints():
        stop(reading.complaints())
    set_up_logs(shared.log_format, shared.log_level)
    raise_file_limit()
    reading.log_advice()
    try:
        uvloop.run(_serve(shared, settings))
    except (TlsFilesError, SealKeyError) as error:
        stop([str(error)])
    except CannotListenError as error:
        raise SystemExit(str(error)) from None
    return 0


async def _serve(shared: AuditLogSettings, settings: AuditApiSettings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(shared, settings) as address:
        log.info("service.started", host=address.host, port=address.port)
        await stopped.wait()
    log.info("service.stopped")


if __name__ == "__main__":
    sys.exit(main())
