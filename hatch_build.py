"""Compiles what each call or exported row passes, with mypyc; the same sources run as they are.

Theory of operation. Hatchling runs this hook when it builds a wheel, never for an editable
install. The modules named in `pyproject.toml` become one library, and a small one beside each
module's source, which Python then loads in its place. Without a C compiler, or without mypy, the
wheel has the sources alone: it does the same, with more CPU.
"""

import os
import sys
import sysconfig
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE: Final = "PODWARDEN_AUDIT_COMPILE"
"""`yes` fails where it cannot be compiled, `no` leaves the sources alone. Default: if possible."""
_GROUP: Final = "podwarden_audit"
# Types are checked by `make types`. Here packages may be absent that have no part in compiling.
_MYPY: Final = ("--config-file=", "--ignore-missing-imports", "--disable-error-code=unused-ignore")
_NEEDED: Final = ("mypyc", "setuptools", "msgspec")


class CannotCompileError(Exception):
    """Something to compile with is not here, or does not work. The message says what."""


class CompilingHook(BuildHookInterface):
    """Adds the compiled modules to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and include the libraries; exit with one line where that must not fail."""
        wanted = os.environ.get(VARIABLE, "")
        if wanted not in {"", "yes", "no"}:
            sys.exit(f"{VARIABLE} must be yes, no or not set")
        if version == "editable" or wanted == "no":
            return
        self._place = TemporaryDirectory()  # removed with this object
        try:
            _check_tools()
            built = _compiled(Path(self.root), self.config["modules"], Path(self._place.name))
        except CannotCompileError as error:
            if wanted == "yes":
                sys.exit(f"{VARIABLE} is yes, but {error}")
            self.app.display_warning(f"Not compiled, so each call takes more CPU: {error}")
            return
        build_data["force_include"].update(built)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _check_tools() -> None:
    for package in _NEEDED:
        if find_spec(package) is None:
            raise CannotCompileError(f"the Python package {package} is not installed")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if which(compiler) is None:
        raise CannotCompileError(f"there is no C compiler ({compiler})")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise CannotCompileError(f"the headers of Python are not installed ({header})")


def _compiled(root: Path, sources: list[str], place: Path) -> dict[str, str]:
    """Compile *sources*, in *place*; return where each library is, and its place in the wheel."""
    # Not at the top: where nothing is compiled they need not be there.
    from mypyc.build import mypycify  # noqa: PLC0415
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.errors import BaseError  # noqa: PLC0415

    with chdir(root):
        try:
            extensions = mypycify(
                [*_MYPY, f"--cache-dir={place / 'cache'}", *sources],
                opt_level="2",
                debug_level="0",
                group_name=_GROUP,
                target_dir=str(place / "c"),
            )
            command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
            command.build_lib, command.build_temp = str(place / "lib"), str(place / "objects")
            command.ensure_finalized()
            command.run()
        except (SystemExit, BaseError) as error:  # mypyc exits with what it has to say
            raise CannotCompileError(f"that failed: {error}") from error
    libraries = place / "lib"
    return {
        str(path): str(path.relative_to(libraries))
        for path in libraries.rglob("*")
        if path.is_file()
    }
