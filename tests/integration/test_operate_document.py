"""Every command of docs/operate.md does what the document says, in the order of the document."""

import re
import shlex
from pathlib import Path

import pytest

from audit_log.postgres.database import open_database
from audit_log.schema.conversion import Conversion, Stage
from tests.neighbours.adopted import adopt
from tests.neighbours.audit_log_command import audit_log

DOCUMENT = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
COMMANDS = re.findall(
    r"^podwarden-audit ((?:purge|convert).*)$",
    "".join(re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)),
    re.MULTILINE,
)
STATEMENTS = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
RETENTION = {"AUDIT_LOG_RETENTION_DAYS": "100"}


@pytest.fixture
async def adopted(empty_database_url):
    async with open_database(empty_database_url, application="test") as database:
        await adopt(database, 1_500)
        yield database


async def rows(database) -> int:
    [row] = await database.fetch("SELECT count(*) FROM mcp_audit_log")
    return int(row[0])


async def test_every_command_works_as_written(empty_database_url, adopted):
    assert [command.split()[0] for command in COMMANDS] == ["purge"] * 3 + ["convert"] * 3
    for command in COMMANDS:
        words = shlex.split(command, comments=True)
        code, output, complaint = audit_log(empty_database_url, *words, **RETENTION)
        assert (code, complaint) == (0, ""), command
        assert output

    assert await rows(adopted) in range(999, 1_002)
    assert await Conversion(adopted).stage() is Stage.DONE


async def test_every_statement_works_as_written(empty_database_url, adopted):
    delete, give_up = STATEMENTS
    await Conversion(adopted).begin()
    await Conversion(adopted).copy()

    await adopted.execute(delete)
    await adopted.execute(give_up)

    assert await Conversion(adopted).stage() is Stage.NOT_BEGUN
    assert await rows(adopted) == 899
    assert audit_log(empty_database_url, "convert")[0] == 0
    assert await rows(adopted) == 899


def test_every_event_it_names_is_one_of_the_code():
    checkout = Path(__file__).parents[2]
    files = [*checkout.glob("proxy/**/*.py"), *checkout.glob("audit_log/**/*.py")]
    code = "".join(path.read_text() for path in files)
    named = re.findall(r"^\|`((?:retention|partitions)\.\w+)`\|", DOCUMENT, re.MULTILINE)

    assert len(named) == 6
    assert all(f'"{event}"' in code for event in named)
