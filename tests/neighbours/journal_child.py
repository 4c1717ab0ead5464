"""A process with a journal, to be killed: says which calls began and ended, as an upstream would.

`python -m tests.neighbours.journal_child FOLDER RING_DIRECTORY` appends until it is killed;
with a number as third argument it appends so many records to a disk that hangs, and stops.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.journal import open_journal
from tests.neighbours.journal import SMALL, a_record, interrupted, stall_disk, until
from tests.neighbours.program import CHECKOUT, Program

CALLS_AT_ONCE = 20
CLOSE_SECONDS = 1.0


@asynccontextmanager
async def journal_child(*arguments: str) -> AsyncIterator[tuple[Program, asyncio.StreamReader]]:
    """Run this module; yield the process and what it says. It is killed afterwards."""
    readable, writable = os.pipe()
    said = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), os.fdopen(readable, "rb")
    )
    with os.fdopen(writable, "wb") as written:
        process = Program.start(
            "tests.neighbours.journal_child",
            *arguments,
            directory=CHECKOUT,
            environment={"PATH": os.environ["PATH"]},
            output=written.fileno(),
            complaints=2,
        )
    try:
        yield process, said
    finally:
        process.kill()
        await process.wait()
        transport.close()


async def main(folder: Path, ring_directory: Path) -> None:
    async with open_journal(
        folder, instance="child", ring_directory=ring_directory, limits=SMALL
    ) as journal:
        in_flight = []
        number = 0
        while True:
            number += 1
            record = a_record(number)
            in_flight.append((journal.begin(interrupted(record)), record))
            say(f"began {record.id}")
            if len(in_flight) == CALLS_AT_ONCE:
                # Neither the oldest nor the youngest: calls overtake each other.
                slot, ended = in_flight.pop(number % CALLS_AT_ONCE)
                assert journal.end(slot, ended)
                say(f"ended {ended.id}")
            # What finds no room in the small ring would be lost on purpose.
            await until(lambda: journal.ring_bytes_in_use < SMALL.ring_bytes // 2)


async def stop_after(count: int, folder: Path, ring_directory: Path) -> None:
    async with open_journal(
        folder, instance="child", ring_directory=ring_directory, close_seconds=CLOSE_SECONDS
    ) as journal:
        stall_disk(folder)
        for number in range(count):
            journal.offer(a_record(number))


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    where = Path(sys.argv[1]), Path(sys.argv[2])
    asyncio.run(stop_after(int(sys.argv[3]), *where) if sys.argv[3:] else main(*where))
