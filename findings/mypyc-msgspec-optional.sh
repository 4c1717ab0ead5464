#!/bin/sh
# mypyc 2.4.1 with msgspec 0.22.0, CPython 3.11: a msgspec Struct in a compiled module has `type` as
# the annotation of each field such as `str | None`, so its decoder refuses every valid document
# ("Expected `type`"), while the same source, interpreted, decodes it. It bites where mypyc compiles
# a module that reads JSON into structs: nothing fails before the first document arrives.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    mypy==2.4.1 msgspec==0.22.0 setuptools==80.9.0
cat >"$folder/line.py" <<'PYTHON'
import msgspec


class Line(msgspec.Struct):
    name: str
    note: str | None = None


def read(document: bytes) -> str:
    try:
        return repr(msgspec.json.decode(document, type=Line))
    except (TypeError, msgspec.ValidationError) as error:
        return f"{type(error).__name__}: {error}"
PYTHON
cat >"$folder/see.py" <<'PYTHON'
import sys

import line

seen = line.read(b'{"name":"a","note":"b"}')
print(f"{line.__file__.rpartition('.')[2]}: note is {line.Line.__annotations__['note']}; {seen}")
sys.exit(seen.startswith("Line(") != line.__file__.endswith(".py"))
PYTHON
cd "$folder"
./venv/bin/python see.py
PATH="$folder/venv/bin:$PATH" ./venv/bin/mypyc line.py >build.log 2>&1 || { cat build.log; exit 1; }
./venv/bin/python see.py
