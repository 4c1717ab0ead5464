"""`podwarden-audit completion SHELL`: completion for bash, zsh and fish.

Each script is a table of words: no process is started for a key press.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Final

from audit_api.query.params import (
    EntriesParams,
    ExportParams,
    InvocationsParams,
    SessionsParams,
    StreamParams,
)
from audit_api.terminal.command_line import FORMATS, parser_of
from audit_api.terminal.ranking import KEYS
from audit_api.terminal.reading_commands import SUMMARIES
from audit_log.process.program import PROGRAM
from audit_log.record import Outcome, ToolOutcome
from deploy.console import COMMANDS

_FILTERS: Final = {
    "query": (EntriesParams, InvocationsParams),
    "tail": (StreamParams,),
    "export": (ExportParams,),
    "top": (ExportParams,),
    "objects": (ExportParams,),
    "sessions": (SessionsParams,),
}
_NO_FILTERS: Final = frozenset({"after", "cursor", "expand", "format", "limit", "kind"})
_OF_SHELLS: Final = frozenset({"duration_ms<", "duration_ms>"})
_FLAGS: Final = ("true", "false")
_VALUES: Final[Mapping[str, Sequence[str]]] = {
    "since": ("15m", "1h", "24h", "7d", "30d", "today", "yesterday"),
    "until": ("today", "yesterday"),
    "status": ("2xx", "3xx", "4xx", "5xx"),
    "method": ("GET", "POST", "PUT", "PATCH", "DELETE", "TOOL"),
    "outcome": (*Outcome, *ToolOutcome),
    "unknown_tokens": _FLAGS,
    "changes": _FLAGS,
    "refused": _FLAGS,
    "clock_ahead": _FLAGS,
}
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "top": tuple(KEYS),
    "export": FORMATS,
    "completion": ("bash", "zsh", "fish"),
    "rules": ("check", "test"),
}
_BASH: Final = """\
# bash: eval "$(podwarden-audit completion bash)"
_podwarden_audit() {
    local line="${COMP_LINE:0:COMP_POINT}" words="" current
    current="${line##*[[:space:]]}"
    if (( COMP_CWORD == 1 )); then
        words=@ALL@
    else
        case "${COMP_WORDS[1]}" in
@CASES@
        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    # bash takes `=` for the end of a word: what is before it stays as it is.
    [[ $current == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${current%%=*}="}")
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    return 0
}
complete -o default -F _podwarden_audit podwarden-audit
"""
_ZSH: Final = """\
#compdef podwarden-audit
# zsh: source <(podwarden-audit completion zsh)
_podwarden_audit() {
    local -a candidates
    if (( CURRENT == 2 )); then
        candidates=(@ALL@)
    else
        case "$words[2]" in
@CASES@
        esac
    fi
    compadd -S '' -- ${(M)candidates:#*=}
    compadd -- ${candidates:#*=}
    (( $#candidates )) || _files
}
compdef _podwarden_audit podwarden-audit
"""


def main(arguments: Sequence[str] | None, program: str) -> int:
    """Print the completion of the shell that *arguments* name."""
    parser = argparse.ArgumentParser(
        prog=program, description="Print the completion of a shell, for its start-up file."
    )
    parser.add_argument("shell", choices=_SCRIPTS)
    sys.stdout.write(_SCRIPTS[parser.parse_args(arguments).shell]())
    return 0


def words_of(command: str) -> list[str]:
    """Return what can stand behind *command*: options, filters, and values of filters."""
    if command not in SUMMARIES:
        return list(_CHOICES.get(command, ()))
    listed = re.findall(
        r"^  (-.*?)(?:   |$)", parser_of(command, PROGRAM).format_help(), re.MULTILINE
    )
    options = re.findall(r"--[a-z-]+", " ".join(listed))
    fields = [field for kind in _FILTERS.get(command, ()) for field in kind.model_fields.items()]
    # Not `duration_ms>`: inserted without quotes, a shell would write to a file.
    names = {field.alias or name for name, field in fields} - _NO_FILTERS - _OF_SHELLS
    filters = [f"{name}=" for name in sorted(names)]
    values = [f"{name}={value}" for name in sorted(names) for value in _VALUES.get(name, ())]
    return [*_CHOICES.get(command, ()), *options, *filters, *dict.fromkeys(values)]


def _bash() -> str:
    cases = [f"        {name}) words={quote(words)} ;;" for name, words in _all().items()]
    return _filled(_BASH, quote(" ".join(COMMANDS)), cases)


def _zsh() -> str:
    cases = [f"        {name}) candidates=({_quoted(words)}) ;;" for name, words in _all().items()]
    return _filled(_ZSH, " ".join(COMMANDS), cases)


def _fish() -> str:
    first = f"complete -c {PROGRAM} -n __fish_use_subcommand -f"
    lines = [
        "# fish: podwarden-audit completion fish | source",
        *(f"{first} -a {name} -d {quote(each.summary)}" for name, each in COMMANDS.items()),
        *(
            f"complete -c {PROGRAM} -n '__fish_seen_subcommand_from {name}' -a {quote(words)}"
            for name, words in _all().items()
        ),
    ]
    return "\n".join([*lines, ""])


def _all() -> dict[str, str]:
    return {name: " ".join(words) for name in COMMANDS if (words := words_of(name))}


def _quoted(words: str) -> str:
    return " ".join(map(quote, words.split()))


def _filled(script: str, commands: str, cases: Sequence[str]) -> str:
    return script.replace("@ALL@", commands).replace("@CASES@", "\n".join(cases))


_SCRIPTS: Final = {"bash": _bash, "zsh": _zsh, "fish": _fish}
