"""An upstream with a large file: nginx, which sends it from memory and takes it into memory."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.upstream import running_nginx

FILES: Final = "/api/v1/files"
"""Below it is the large file, and whatever is uploaded."""
_PIECE_BYTES: Final = 2**20
_SETTINGS: Final = """\
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    client_max_body_size 0;
    client_body_temp_path {root}/uploads;
    client_body_buffer_size 1m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            root {root};
            dav_methods PUT;
        }}
    }}
}}
"""


@contextmanager
def large_file(mebibytes: int) -> Iterator[Path]:
    """Yield a file of *mebibytes* in memory; it and what lies beside it is deleted at the end."""
    directory = Path(tempfile.mkdtemp(prefix="benchmark-files-", dir="/dev/shm"))
    try:
        file = directory / FILES.lstrip("/") / "large"
        file.parent.mkdir(parents=True)
        with file.open("wb") as pieces:
            for _ in range(mebibytes):
                pieces.write(os.urandom(_PIECE_BYTES))
        yield file
    finally:
        shutil.rmtree(directory)


@contextmanager
def running_file_upstream(directory: Path, file: Path) -> Iterator[str]:
    """Run the upstream, its settings in *directory*, with *file*; yield its origin."""
    root = str(file).removesuffix(f"{FILES}/{file.name}")
    with running_nginx(directory, _SETTINGS, root=root) as origin:
        yield origin
