#!/bin/sh
# mypyc 2.4.1, CPython 3.11: a dataclass that names a Protocol of its own module as its base runs
# interpreted and passes mypy and the compiler, but the compiled module cannot be imported: an
# AttributeError about `__dict__` of the class. It bites where a base is named so that compiled code
# calls the method itself, which through a Protocol alone it looks up by name at each call.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile \
    mypy==2.4.1 setuptools==80.9.0
cat >"$folder/tools.py" <<'PYTHON'
from dataclasses import dataclass
from typing import Protocol


class Labelled(Protocol):
    def label(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Tool(Labelled):
    name: str

    def label(self) -> str:
        return self.name


class Plain(Labelled):
    def __init__(self, name: str) -> None:
        self.name = name

    def label(self) -> str:
        return self.name
PYTHON
cat >"$folder/see.py" <<'PYTHON'
import sys

try:
    import tools
except AttributeError as error:
    print(f"compiled: {error}")
    sys.exit("__dict__" not in str(error))
print(f"interpreted: {tools.Tool('list').label()}, {tools.Plain('list').label()}")
sys.exit(not tools.__file__.endswith(".py"))
PYTHON
cd "$folder"
./venv/bin/python see.py
PATH="$folder/venv/bin:$PATH" ./venv/bin/mypyc tools.py >build.log 2>&1 || { cat build.log; exit 1; }
./venv/bin/python see.py
