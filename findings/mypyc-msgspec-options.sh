#!/bin/sh
# mypyc 2.4.1 with msgspec 0.22.0, CPython 3.11: what a msgspec Struct is given beside its base class
# (`omit_defaults`, `rename`, `tag`, `forbid_unknown_fields`, `frozen`) is dropped in a compiled
# module, without a word from the compiler. It bites where mypyc compiles a module that exchanges
# JSON: the same source writes other names and more fields, and reads what it should refuse.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    mypy==2.4.1 msgspec==0.22.0 setuptools==80.9.0
cat >"$folder/call.py" <<'PYTHON'
import msgspec


class Call(
    msgspec.Struct,
    omit_defaults=True,
    rename="camel",
    tag="call",
    forbid_unknown_fields=True,
    frozen=True,
):
    tool_name: str
    note: str = ""


def written() -> str:
    return msgspec.json.encode(Call("delete")).decode()


def refuses(document: str) -> bool:
    try:
        msgspec.json.decode(document, type=Call)
    except msgspec.ValidationError:
        return True
    return False


def is_frozen() -> bool:
    try:
        setattr(Call("delete"), "note", "changed")
    except AttributeError:
        return True
    return False
PYTHON
cat >"$folder/see.py" <<'PYTHON'
import sys

import call

document = call.written()
refuses_unknown = call.refuses(document.replace("}", ',"unknown":1}'))
print(
    f"{call.__file__.rpartition('.')[2]}: written as {document}, "
    f"an unknown field is {'refused' if refuses_unknown else 'passed over'}, "
    f"{'frozen' if call.is_frozen() else 'not frozen'}"
)
seen = document, refuses_unknown, call.is_frozen()
interpreted = '{"type":"call","toolName":"delete"}', True, True
compiled = '{"tool_name":"delete","note":""}', False, False
sys.exit(seen != (interpreted if call.__file__.endswith(".py") else compiled))
PYTHON
cd "$folder"
./venv/bin/python see.py
PATH="$folder/venv/bin:$PATH" ./venv/bin/mypyc call.py >build.log 2>&1 || { cat build.log; exit 1; }
./venv/bin/python see.py
