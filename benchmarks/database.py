"""A real PostgreSQL with our schema and tokens, made as an operator makes it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load import Target
from benchmarks.many_tokens import tokens_in_files
from benchmarks.process import CHECKOUT, CLIENT_CORE, free_port, pin
from deploy.local.postgres import PostgresServer, running_postgres

_TOKENS: Final = 50


@dataclass(frozen=True, slots=True)
class Database:
    """A server, and tokens that its table knows."""

    server: PostgresServer
    token: str
    tokens: Path
    """A file of 50 others."""

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return self.server.url()

    def target(self, origin: str) -> Target:
        """Return what is asked at *origin*: heads that differ, with the 50 tokens in turn."""
        return Target(origin, self.token, varies=True, tokens=self.tokens)


@contextmanager
def running_database(directory: Path) -> Iterator[Database]:
    """Run PostgreSQL with its files in *directory*, durable as in earnest."""
    with running_postgres(directory, port=free_port()) as server:
        pin(server.pid, CLIENT_CORE)
        _said_by(server.url(), "migrate")
        made = _said_by(server.url(), "token", "create", "benchmark", "--role", "admin")
        [secret] = [line.split()[1] for line in made.splitlines() if line.startswith("secret")]
        [tokens] = tokens_in_files(server.url(), directory, (_TOKENS,)).values()
        yield Database(server, secret, tokens)


def _said_by(url: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "audit_log", *arguments],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "AUDIT_LOG_DATABASE_URL": url},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
