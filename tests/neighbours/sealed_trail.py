"""A stranger's view of the seal: what the tables hold, checked without the code that made it.

Only the data of a leaf is made by the package, as whoever has a row must make it. Trees, tiles,
checkpoints and signatures are read by what RFC 6962 and C2SP say.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from nacl.signing import VerifyKey

from audit_log.postgres.database import Database
from audit_log.record import Gap, Invocation, RecordRow
from audit_log.seal.leaf import entry_leaves, gap_leaf, tool_call_leaf

LEAVES_PER_TILE = 256
HASH_BYTES = 32
NOTHING = frozenset({b'["void"]', b'["unsealed"]', b'["missing"]'})
_ENTRIES = """
SELECT id::text, created_at, method, path, status_code, outcome, instance, token_id::text,
    token_name, duration_ms, host(client_ip) AS client_ip, user_agent, tool, invocation_id::text,
    attribution, request_id, seq, log
FROM mcp_audit_log WHERE log = $1"""
_TOOL_CALLS = """
SELECT id, created_at, tool, outcome, status_code, origin, instance, token_id, token_name,
    duration_ms, api_calls, error_code, rounds, host(client_ip) AS client_ip, request_id, session,
    protocol_version, client_name, client_version, user_agent, principal, claims::text, seq, log
FROM mcp_tool_invocation WHERE log = $1"""
_GAPS = """
SELECT id, started_at, ended_at, count, reason, instance, seq, log
FROM mcp_audit_gap WHERE log = $1"""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that was published."""

    size: int
    root: bytes


@dataclass(slots=True)
class SealedLog:
    """One log, as the tables tell it."""

    origin: str
    instance: str
    first_line: int
    signed: list[Signed]
    """Its checkpoints, in the order in which they arrived; each was signed by its key."""
    leaves: list[bytes] = field(default_factory=list)
    """The data of each leaf below the largest checkpoint."""
    rows: dict[int, bytes] = field(default_factory=dict)
    """What the rows of all tables say, by their places."""

    @property
    def size(self) -> int:
        return max((checkpoint.size for checkpoint in self.signed), default=0)

    def count(self, kind: str) -> int:
        """How many leaves are of this kind."""
        return sum(data.startswith(b'["' + kind.encode() + b'"') for data in self.leaves)

    @property
    def unsealed_rows(self) -> list[int]:
        """The places of rows of which the log says that it knows nothing of them."""
        return [
            place for place in self.rows if place < self.size and self.leaves[place] in NOTHING
        ]


async def sealed_logs(database: Database) -> list[SealedLog]:
    """Return the logs in *database*; fail if one contradicts itself, or what is stored."""
    rows = await database.fetch(
        "SELECT log, origin, key, instance, min(first_line) AS first_line FROM mcp_audit_seal_log"
        " GROUP BY log, origin, key, instance ORDER BY log"
    )
    return [await _checked(database, row) for row in rows]


async def _checked(database: Database, row) -> SealedLog:
    log = row["log"]
    notes = await database.fetch(
        "SELECT note FROM mcp_audit_seal_checkpoint WHERE log = $1 ORDER BY arrived_at", log
    )
    signed = [opened(note["note"], row["origin"], row["key"]) for note in notes]
    found = SealedLog(row["origin"], row["instance"], row["first_line"], signed)
    roots: dict[int, bytes] = {}
    for checkpoint in signed:
        # No two checkpoints of one size may differ.
        assert roots.setdefault(checkpoint.size, checkpoint.root) == checkpoint.root
    found.rows = await _rows(database, log)
    tiles = await _tiles(database, log)
    candidates = await _candidates(database, log, found.rows)
    found.leaves = [_leaf(place, candidates, tiles) for place in range(found.size)]
    # Each published root is that of the leaves: so none contradicts another one.
    computed = roots_at(sorted(roots), [sha256(b"\0" + data).digest() for data in found.leaves])
    assert computed == roots
    return found


def opened(note: str, origin: str, vkey: str) -> Signed:
    """Return what a signed note says; fail unless the key *vkey* signed it."""
    text, _, signature = note.partition("\n\n")
    said_origin, size, root = text.split("\n")
    name, key_id, public = vkey.split("+", 2)
    dash, signer, encoded = signature.split(" ")
    assert (dash, signer, said_origin, name) == ("\N{EM DASH}", origin, origin, origin)
    raw, key = b64decode(encoded), b64decode(public)
    assert (raw[:4].hex(), key[0]) == (key_id, 1)
    assert sha256(f"{name}\n".encode() + key).digest()[:4] == raw[:4]
    VerifyKey(key[1:]).verify(f"{text}\n".encode(), raw[4:])
    return Signed(int(size), b64decode(root))


def roots_at(sizes: Sequence[int], leaves: Iterable[bytes]) -> dict[int, bytes]:
    """Return the root of the first so many *leaves*, for each of *sizes*."""
    roots = {0: sha256(b"").digest()} if 0 in sizes else {}
    edge: list[tuple[int, bytes]] = []
    for count, leaf in enumerate(leaves, 1):
        edge.append((0, leaf))
        while len(edge) > 1 and edge[-1][0] == edge[-2][0]:
            (level, left), (_, right) = edge[-2:]
            edge[-2:] = [(level + 1, sha256(b"\1" + left + right).digest())]
        if count in sizes:
            *larger, (_, root) = edge
            for _, left in reversed(larger):
                root = sha256(b"\1" + left + root).digest()
            roots[count] = root
    return roots


def _leaf(place: int, candidates: dict[int, list[bytes]], tiles: dict[int, list[bytes]]) -> bytes:
    """Return the data of the leaf at *place*; fail if nothing that is stored gives it."""
    known = tiles.get(place // LEAVES_PER_TILE, [])
    at = place % LEAVES_PER_TILE
    hashes = known[at] if at < len(known) else None
    fitting = [
        data
        for data in candidates.get(place, [])
        if hashes is None or sha256(b"\0" + data).digest() == hashes
    ]
    assert fitting, f"nothing stored gives the leaf at {place}: {candidates.get(place)}"
    return fitting[-1]


async def _rows(database: Database, log: int) -> dict[int, bytes]:
    """Return the leaf data that rows give, by their places; fail if two have one place."""
    entries = [RecordRow(**dict(row)) for row in await database.fetch(_ENTRIES, log)]
    found: list[tuple[int, bytes]] = [
        (row.seq, data)
        for row, data in zip(entries, entry_leaves(entries), strict=True)
        if row.seq is not None
    ]
    for row in await database.fetch(_TOOL_CALLS, log):
        values = dict(row)
        claims = values.pop("claims")
        found.append((values["seq"], tool_call_leaf(Invocation(**values), claims or "null")))
    found += [(row["seq"], gap_leaf(Gap(**dict(row)))) for row in await database.fetch(_GAPS, log)]
    places = [place for place, _ in found]
    assert len(set(places)) == len(places), "two rows have one place"
    return dict(found)


async def _candidates(
    database: Database, log: int, rows: dict[int, bytes]
) -> dict[int, list[bytes]]:
    """Return all that may be the data of the leaf at each place, the likeliest last."""
    candidates: dict[int, list[bytes]] = defaultdict(list)
    for place, data in rows.items():
        candidates[place].append(data)
    notes = await database.fetch(
        "SELECT seq, count, data FROM mcp_audit_seal_note WHERE log = $1 ORDER BY arrived_at", log
    )
    for note in notes:
        place, left = note["seq"], note["count"]
        while left:
            if note["count"] == 1 or place % LEAVES_PER_TILE != LEAVES_PER_TILE - 1:
                candidates[place].append(note["data"].encode())
                left -= 1
            place += 1
    return candidates


async def _tiles(database: Database, log: int) -> dict[int, list[bytes]]:
    """Return the hashes of the tiles of level 0; fail if two of one tile contradict each other."""
    tiles: dict[int, list[bytes]] = {}
    for row in await database.fetch(
        "SELECT number, hashes FROM mcp_audit_seal_tile WHERE log = $1 AND level = 0"
        " ORDER BY length(hashes)",
        log,
    ):
        data = row["hashes"]
        hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        before = tiles.get(row["number"], [])
        assert hashes[: len(before)] == before
        tiles[row["number"]] = hashes
    return tiles
