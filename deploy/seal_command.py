"""`podwarden-audit seal`: the public keys of the seal, and the policy that they make.

Runs where the sidecar or the witness runs, with its settings, also while it runs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit_api.witness.folder import WitnessFolderError, witness_key
from audit_api.witness.trusted_logs import ANY_LOG
from audit_log.errors import SealFormatError
from audit_log.process.logs import set_up_logs
from audit_log.process.reading import SettingsReading, stop
from audit_log.process.sealing.key_file import SealKeyError, begin_change, finish_change
from audit_log.seal.growing.state import State
from audit_log.seal.keys import NOTE, VerifierKey
from audit_log.seal.policy import NO_QUORUM, Group, Log, Policy, Witness
from audit_log.seal.policy_file import parse_policy
from proxy.journal.rings.log_files import STATE_NAME
from proxy.seal.anchors.anchor_url import read_urls
from proxy.seal.copies import DiskCopies
from proxy.settings import ProxySettings
from proxy.workers.places import known_places

_WITNESS_DIR: Final = "AUDIT_API_WITNESS_DIR"
_GROUP: Final = "witnesses"
_KEY, _POLICY, _ROTATE = "key", "policy", "rotate"


def main(given: Sequence[str], program: str = "podwarden-audit seal") -> int:
    """Do what the arguments *given* to *program* say; return the exit code."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Show the public keys of the seal, with the settings of the sidecar or the"
        " audit API. Nothing secret is shown.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(_KEY, help="the keys (vkeys) of the sidecar's logs, and of the witness")
    commands.add_parser(
        _POLICY, help="what `podwarden-audit verify` trusts (tlog-policy): keep it elsewhere"
    )
    rotate = commands.add_parser(
        _ROTATE, help="change the key: a second one signs too, from the next start on"
    )
    rotate.add_argument(
        "--finish", action="store_true", help="let the second key sign alone, from the next start"
    )
    options = parser.parse_args(given)
    set_up_logs("console", "error")
    try:
        for line in _lines(options):
            sys.stdout.write(f"{line}\n")
    except (SealFormatError, SealKeyError, WitnessFolderError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _lines(options: argparse.Namespace) -> Sequence[str]:
    match options.command:
        case "key":
            return _keys()
        case "policy":
            return _policy_lines()
        case _:
            return _finish() if options.finish else _rotate()


def _keys() -> Sequence[str]:
    """Return a line for each key; raise SealFormatError or WitnessFolderError."""
    folder = os.environ.get(_WITNESS_DIR)
    shown = []
    if folder:
        shown.append(f"witness         {witness_key(Path(folder))}")
    if folder and "PROXY_UPSTREAM_URL" not in os.environ:
        return shown
    for state in _logs(_settings()):
        # A witness that trusts this name needs not be told of each new log.
        name = state.origin.rpartition("/")[0] + ANY_LOG
        for public in _publics(state):
            shown.append(f"any of its logs {VerifierKey(name, NOTE, public)}")
            shown.append(f"log             {VerifierKey(state.origin, NOTE, public)}")
    return shown


def _policy_lines() -> Sequence[str]:
    settings = _settings()
    # One key can have several logs, as when workers share it: a policy names a key once.
    keys: dict[bytes, VerifierKey] = {}
    for state in _logs(settings):
        for public in _publics(state):
            keys.setdefault(public, VerifierKey(state.origin, NOTE, public))
    logs = tuple(map(Log, keys.values()))
    anchors = settings.seal_anchors
    urls = read_urls("" if anchors is None else anchors.get_secret_value())
    witnesses = tuple(
        Witness(f"w{number}", VerifierKey.parse(url.options["vkey"]), str(url.place))
        for number, url in enumerate((url for url in urls if "vkey" in url.options), start=1)
    )
    names = tuple(witness.name for witness in witnesses)
    groups = (Group(_GROUP, 1, names),) if len(names) > 1 else ()
    quorum = _GROUP if groups else "".join(names) or NO_QUORUM
    policy = Policy(logs, witnesses, groups, quorum)
    try:
        _ = parse_policy(str(policy).encode())
    except SealFormatError as error:
        raise SealFormatError(f"these keys make no policy: {error}") from None
    return str(policy).splitlines()


def _rotate() -> Sequence[str]:
    """Put a second key beside the key; raise SealKeyError."""
    file = _key_file(_settings())
    begin_change(file)
    return [
        f"{file} holds a second key",
        "Next: restart the sidecar, and give verifiers and witnesses the keys that are new in",
        "`seal policy` and `seal key`. Then `seal rotate --finish`, and restart it again.",
    ]


def _finish() -> Sequence[str]:
    """Leave the second key alone in the file; raise SealKeyError, or SealFormatError."""
    settings = _settings()
    if any(not state.following for state in _logs(settings)):
        raise SealFormatError(
            "a log does not know its second key yet: `seal rotate`, then restart the sidecar"
        )
    file = _key_file(settings)
    finish_change(file)
    return [f"{file} holds the new key alone", "Next: restart the sidecar."]


def _key_file(settings: ProxySettings) -> Path:
    """Return the file of the key, which workers share."""
    file = settings.key_file_in(settings.journal_dir)
    if file is None:
        raise SealFormatError("nothing is sealed here: PROXY_SEAL is false")
    return file


def _publics(state: State) -> Sequence[bytes]:
    """Return the public keys that sign for a log."""
    return [key for key in (state.key, state.following) if key]


def _settings() -> ProxySettings:
    reading = SettingsReading()
    settings = reading.read(ProxySettings)
    if settings is None or reading.complaints():
        stop(reading.complaints())
    return settings


def _logs(settings: ProxySettings) -> Sequence[State]:
    """Return the log of each journal; raise SealFormatError if there is none."""
    found = [
        state
        for place in known_places(settings.journal_dir, settings.instance_name)
        if (state := State.read(DiskCopies(place.journal / STATE_NAME).read())) is not None
        and state.key
    ]
    if not found:
        raise SealFormatError(
            f"no log of the seal has begun in {settings.journal_dir}: start the sidecar first"
        )
    return found
