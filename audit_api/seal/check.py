"""Check this evidence with the standard library of Python 3.10 or later alone.

    python3 check.py [--print] [KEY ...]

KEY: the keys of the logs as you know them from elsewhere, such as from the policy file of the
operator; then a log of another key is refused. Without them the bundle's own keys are taken, which
proves only that the bundle fits itself: compare them. --print writes what was verified, one JSON
object with names on each line. Exit status: 0 all that is sealed was verified, 1 something was
altered or is missing.
"""

import base64
import hashlib
import ipaddress
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_TOLD = 20
HERE = Path(__file__).resolve().parent
NAMES = {
    "entry": "id created_at method path status_code outcome instance token_id token_name"
    " duration_ms client_ip user_agent tool invocation_id attribution request_id",
    "tool_call": "id created_at tool outcome status_code origin instance token_id token_name"
    " duration_ms api_calls error_code rounds client_ip request_id session protocol_version"
    " client_name client_version user_agent principal claims",
    "gap": "id started_at ended_at count reason instance",
}
NOTHING = ['["void"]', '["unsealed"]', '["missing"]']
# Ed25519 (RFC 8032): the field, the order of the base point, d of the curve, the base point.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P
Point = tuple[int, int, int, int]
"""X, Y, Z and T of RFC 8032, section 5.1.4."""
NEUTRAL: Point = (0, 1, 1, 0)


def leaf_hash(text: str) -> bytes:
    """Return the hash of a leaf (RFC 6962)."""
    return hashlib.sha256(b"\0" + text.encode()).digest()


def root_of(hashes: list[bytes]) -> bytes:
    """Return the hash over some neighbours, as RFC 6962 defines it for any number of them."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    left, right = root_of(hashes[:middle]), root_of(hashes[middle:])
    return hashlib.sha256(b"\1" + left + right).digest()


class Log:
    """The folder of one log: its key, its checkpoint and the tiles that are needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = (folder / "key").read_text(encoding="utf-8").strip()
        self.size, self.root = opened(
            (folder / "checkpoint").read_text(encoding="utf-8"), self.key
        )
        self.proved: dict[tuple[int, int], list[bytes]] = {}
        self.told: dict[int, int] = {}
        """By tile: which of its places a row was verified at, one bit each."""
        if self.root_at(self.size) != self.root:
            raise ValueError("the tiles do not give the root of the checkpoint")
        for note in sorted(folder.glob("anchored/*")):
            size, root = opened(note.read_text(encoding="utf-8"), self.key)
            if size > self.size or self.root_at(size) != root:
                raise ValueError(f"the anchored checkpoint of {size} leaves is of another log")

    def tile(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile; raise ValueError if it is not here."""
        digits = f"{index % 1000:03}"
        while index := index // 1000:
            digits = f"x{index % 1000:03}/{digits}"
        path = self.folder / "tile" / str(level) / digits
        found = [path, *path.parent.glob(f"{path.name}.p/*")]
        for file in found:
            if file.is_file():
                data = file.read_bytes()
                return [data[at : at + 32] for at in range(0, len(data), 32)]
        raise ValueError(f"{path.relative_to(self.folder)} is not here")

    def root_at(self, size: int) -> bytes:
        """Return the root of the first *size* leaves, by the tiles at the edge of that tree."""
        parts: list[bytes] = []
        level = 0
        while size >> 8 * level:
            index, width = divmod(size >> 8 * level, 256)
            hashes = self.tile(level, index)[:width] if width else []
            if len(hashes) != width:
                raise ValueError(f"a tile of level {level} is too short")
            own: list[bytes] = []
            end = 0
            for height in range(7, -1, -1):
                if width & 1 << height:
                    own.append(root_of(hashes[end : end + (1 << height)]))
                    end += 1 << height
            parts, level = own + parts, level + 1
        root = parts.pop()
        while parts:
            root = hashlib.sha256(b"\1" + parts.pop() + root).digest()
        return root

    def hashes(self, level: int, index: int) -> list[bytes]:
        """Return the hashes of a tile that the checkpoint proves; raise ValueError."""
        if (level, index) in self.proved:
            return self.proved[level, index]
        hashes = self.tile(level, index)
        width = min((self.size >> 8 * level) - 256 * index, 256)
        if len(hashes) < width:
            raise ValueError(f"tile {index} of level {level} is too short")
        # The tile at the edge has given the root already.
        if width == 256 and root_of(hashes) != self.hashes(level + 1, index >> 8)[index & 255]:
            raise ValueError(f"tile {index} of level {level} was altered")
        self.proved[level, index] = hashes[:width]
        return hashes[:width]


Checked = tuple[dict[str, int], list[str], dict[str, Log]]


def opened(note: str, vkey: str) -> tuple[int, bytes]:
    """Return size and root of a checkpoint that is signed by *vkey*; raise ValueError."""
    text, _, lines = note.partition("\n\n")
    name, key_id, key = vkey.split("+", 2)
    public = base64.b64decode(key)[1:]
    origin, size, root = text.split("\n")
    if origin != name:
        raise ValueError(f"the checkpoint is of {origin}, the key of {name}")
    for line in lines.splitlines():
        _, signer, encoded = line.split(" ")
        signature = base64.b64decode(encoded)
        if signer == name and signature[:4].hex() == key_id:
            if not is_signed(public, f"{text}\n".encode(), signature[4:]):
                raise ValueError("the signature of the checkpoint is wrong")
            return int(size), base64.b64decode(root)
    raise ValueError("the checkpoint is not signed by the key of the log")


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether *signature* is that of *message* (RFC 8032, section 5.1.7)."""
    key, point = decoded(public), decoded(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or point is None or scalar >= ORDER or len(signature) != 64:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    left = times(scalar, BASE)
    right = plus(point, times(challenge, key))
    return (
        (left[0] * right[2] - right[0] * left[2]) % P
        == 0
        == (left[1] * right[2] - right[1] * left[2]) % P
    )


def decoded(data: bytes) -> Point | None:
    """Return the point that 32 bytes stand for, in extended coordinates; None if it is none."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or y >= P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decoded(BASE_Y.to_bytes(32, "little")) or NEUTRAL


def plus(one: Point, other: Point) -> Point:
    """Return the sum of two points."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c, d = 2 * one[3] * other[3] * D % P, 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar: int, point: Point) -> Point:
    """Return *point* so many times."""
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = plus(result, point)
        point, scalar = plus(point, point), scalar >> 1
    return result


def judged(line: dict[str, Any], logs: dict[str, Log]) -> tuple[str, str | None]:
    """Return what is to be said of one line, and its leaf data if it was verified."""
    log, place, leaf = logs.get(line["log"]), line["place"], str(line["leaf"])
    if line["log"] is None:
        return "not sealed", None
    if not isinstance(place, int) or place < 0:
        raise TypeError("no row can have this place")
    if log is None:
        raise ValueError(f"a row is of log {line['log']}, which was not verified")
    if place >= log.size:
        return "newer than the checkpoint", None
    sealed = log.hashes(0, place >> 8)[place & 255]
    if sealed == leaf_hash(leaf):
        return "verified", leaf
    if sealed == leaf_hash(f'["quarantined","{leaf_hash(leaf).hex()}"]'):
        return "verified", leaf
    if sealed in map(leaf_hash, NOTHING):
        return "not sealed", None
    raise ValueError(f"what stands at place {place} of log {line['log']} was altered")


def with_names(leaf: str, line: dict[str, Any]) -> dict[str, Any]:
    """Return leaf data as an object with names, in the words of the API."""
    kind, *values = json.loads(leaf)
    told = {"kind": kind, **dict(zip(NAMES[kind].split(), values, strict=False))}
    if named := line.get("named"):
        if told.get("token_name", "") is not None or not {"token_id", "token_name"} >= set(named):
            raise ValueError(f"{told['id']} has a name that was sealed otherwise")
        told |= {column: named[column] and str(named[column]) for column in named}
    if told.get("duration_ms") is not None:
        told["duration_ms"] = round(struct.unpack(">f", bytes.fromhex(told["duration_ms"]))[0], 3)
    if len(told.get("client_ip") or "") == 32:
        told["client_ip"] = str(ipaddress.IPv6Address(bytes.fromhex(told["client_ip"])))
    return told


def tell_once(line: dict[str, Any], log: Log) -> None:
    """Note that a row was verified; raise ValueError if its place was told before."""
    tile, bit = line["place"] >> 8, 1 << (line["place"] & 255)
    before = log.told.get(tile, 0)
    if before & bit:
        raise ValueError(f"place {line['place']} of log {line['log']} is told twice")
    log.told[tile] = before | bit


def told_of(text: str, logs: dict[str, Log]) -> tuple[str, dict[str, Any] | None]:
    """Return what is to be said of the line *text*, and its values if it was verified."""
    line = json.loads(text)
    verdict, leaf = judged(line, logs)
    if leaf is None:
        return verdict, None
    told = with_names(leaf, line)
    tell_once(line, logs[line["log"]])
    return verdict, told


def read_logs(names: list[str], keys: list[str]) -> tuple[dict[str, Log], list[str]]:
    """Return the logs whose checkpoints hold, and what is wrong with the others."""
    logs: dict[str, Log] = {}
    wrong: list[str] = []
    for name in names:
        try:
            logs[name] = Log(HERE / "logs" / name)
        except (ValueError, LookupError, OSError) as error:
            wrong.append(f"log {name}: {error}")
        else:
            if keys and logs[name].key not in keys:
                wrong.append(f"log {name}: its key is none of those given: {logs.pop(name).key}")
    return logs, wrong


def read_lines(kind: str) -> Iterator[str]:
    """Yield the lines of one kind of rows."""
    for file in sorted((HERE / kind).glob("*.ndjson")):
        # What is no UTF-8 is no leaf that was sealed.
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield from lines


def read_manifest() -> tuple[list[str], dict[str, int]]:
    """Return the names of the logs, and of each kind of rows how many there are."""
    try:
        manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
        return [str(name) for name in manifest["logs"]], dict(manifest["rows"])
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"manifest.json is none of a bundle: {error}") from error


def check(keys: list[str], *, is_printing: bool) -> Checked:
    """Check all lines; return what was said how often, and what is wrong."""
    try:
        names, rows = read_manifest()
    except (ValueError, OSError) as error:
        return {}, [str(error)], {}
    logs, wrong = read_logs(names, keys)
    said: dict[str, int] = {}
    counts = dict.fromkeys(rows, 0)
    for kind in counts:
        for text in read_lines(kind):
            counts[kind] += 1
            try:
                verdict, told = told_of(text, logs)
            except (LookupError, TypeError, RecursionError, json.JSONDecodeError):
                wrong.append(f"line {counts[kind]} of {kind} is no row of a bundle")
                continue
            except (ValueError, OSError) as error:
                wrong.append(str(error))
                continue
            said[verdict] = said.get(verdict, 0) + 1
            if is_printing and told is not None:
                sys.stdout.write(json.dumps(told) + "\n")
    if counts != rows:
        wrong.append(f"there are {counts} rows; the manifest tells of {rows}")
    return said, wrong, logs


def main() -> int:
    """Run the check; return the exit status."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--print"]
    said, wrong, logs = check(arguments, is_printing="--print" in sys.argv)
    for name, log in sorted(logs.items()):
        leaves = "1 leaf" if log.size == 1 else f"{log.size} leaves"
        sys.stderr.write(f"log {name}: {leaves}, key {log.key}\n")
    if logs and not arguments:
        sys.stderr.write("These keys are the bundle's own: compare them with those you know.\n")
    for verdict, count in sorted(said.items()):
        sys.stderr.write(f"{count} {'row' if count == 1 else 'rows'}: {verdict}\n")
    for problem in wrong[:MOST_TOLD]:
        sys.stderr.write(f"WRONG: {problem}\n")
    if len(wrong) > MOST_TOLD:
        sys.stderr.write(f"WRONG: {len(wrong) - MOST_TOLD} more\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
