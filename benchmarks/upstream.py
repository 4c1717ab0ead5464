"""The upstream: nginx with one small JSON answer for everything, faster than any proxy here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.process import CLIENT_CORE, free_port, listens, running

ANSWER: Final = (
    '{"items":[{"id":"c1","name":"production","status":"ready","nodes":12},'
    '{"id":"c2","name":"staging","status":"ready","nodes":3}],"total":2}'
)
_SETTINGS: Final = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            default_type application/json;
            return 200 '{answer}';
        }}
        # Reads the body to its end before it responds, as an application does.
        location /api/v1/body {{
            client_max_body_size 16m;
            client_body_buffer_size 1m;
            proxy_pass http://127.0.0.1:{port}/;
        }}
    }}
}}
"""


@contextmanager
def running_upstream(directory: Path) -> Iterator[str]:
    """Run the upstream with its files in *directory*; yield its origin."""
    with running_nginx(directory, _SETTINGS, answer=ANSWER) as origin:
        yield origin


@contextmanager
def running_nginx(directory: Path, settings: str, **values: str) -> Iterator[str]:
    """Run nginx on the load's core with *settings*, filled in with *values* and a `{port}`."""
    port = free_port()
    directory.mkdir(parents=True)
    file = directory / "nginx.conf"
    file.write_text(settings.format(port=port, **values))
    command: list[str | Path] = ["nginx", "-p", directory, "-c", file, "-e", "stderr"]
    with running(command, core=CLIENT_CORE, directory=directory) as process:
        process.wait_until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"
