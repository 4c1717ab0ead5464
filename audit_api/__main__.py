"""`python -m audit_api`: the audit API as a process, set up from the environment."""

import asyncio
import signal

import structlog
import uvloop

from audit_api.app import serving
from audit_api.settings import AuditApiSettings
from audit_log.process.files import raise_file_limit
from audit_log.process.logs import set_up_logs
from audit_log.process.settings import AuditLogSettings, read_settings
from audit_log.process.sockets import CannotListenError
from audit_log.process.tls import TlsFilesError

log = structlog.get_logger("audit_api")


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit with a one-line message if the service cannot start."""
    shared = read_settings(AuditLogSettings)
    settings = read_settings(AuditApiSettings)
    set_up_logs(shared.log_format, shared.log_level)
    raise_file_limit()
    try:
        uvloop.run(_serve(shared, settings))
    except (CannotListenError, TlsFilesError) as error:
        raise SystemExit(str(error)) from None


async def _serve(shared: AuditLogSettings, settings: AuditApiSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(shared, settings) as address:
        log.info("service.started", host=address.host, port=address.port)
        await stop.wait()
    log.info("service.stopped")


if __name__ == "__main__":
    main()
