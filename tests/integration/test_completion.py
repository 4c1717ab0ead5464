"""Completion, asked for by the shells themselves."""

import shutil
import subprocess

import pytest

from audit_api.terminal.reading_commands import SUMMARIES
from deploy.completion import main, words_of
from deploy.console import COMMANDS

# What a shell does at the Tab key, with the words before the cursor as arguments.
BASH = """
source /dev/stdin
COMP_WORDS=(podwarden-audit "$@") COMP_CWORD=$#
COMP_LINE="podwarden-audit $*" COMP_POINT=${#COMP_LINE}
compopt() { echo "compopt $*"; }
_podwarden_audit
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compdef() { :; }
source /dev/stdin
_files() { print files; }
compadd() { while [[ $1 != -- ]]; do shift; done; print -l $@; }
words=(podwarden-audit $@) CURRENT=$(( $# + 1 ))
_podwarden_audit
"""
FISH = 'source -; complete -C "podwarden-audit $argv"'


def completed(shell, script, *words, capsys):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert main([shell], "podwarden-audit completion") == 0
    told = capsys.readouterr().out
    arguments = ["-c", script, shell, *words] if shell != "fish" else ["-c", script, *words]
    done = subprocess.run(
        [shell, *arguments], input=told, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_bash_completes_commands_filters_and_their_values(capsys):
    assert completed("bash", BASH, "sess", capsys=capsys) == ["sessions"]
    assert completed("bash", BASH, "query", "request", capsys=capsys) == [
        *("compopt -o nospace", "request_id=")
    ]
    assert completed("bash", BASH, "query", "status=5", capsys=capsys) == ["5xx"]
    assert completed("bash", BASH, "export", "--mark", capsys=capsys) == ["--mark-file"]
    assert completed("bash", BASH, "top", "path_t", capsys=capsys) == ["path_template"]


def test_zsh_offers_the_words_of_a_command(capsys):
    assert {"query", "proxy", "completion"} <= set(completed("zsh", ZSH, "q", capsys=capsys))
    offered = completed("zsh", ZSH, "query", "st", capsys=capsys)
    assert {"status=", "status!=", "status=5xx", "--tool-calls"} <= set(offered)


def test_fish_completes_commands_and_filters(capsys):
    assert completed("fish", FISH, "que", capsys=capsys) == ["query"]
    assert "status=5xx" in completed("fish", FISH, "query status=5", capsys=capsys)


def test_each_command_that_reads_has_its_options_and_filters():
    assert all("--database-url" in words_of(command) for command in SUMMARIES)
    assert {"--follow", "--lines", "path="} <= set(words_of("tail"))
    assert {"csv", "--part", "session="} <= set(words_of("export"))
    assert words_of("completion") == ["bash", "zsh", "fish"]
    assert all(name in COMMANDS for name in SUMMARIES)
