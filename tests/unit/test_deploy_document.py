import re

from tests.unit.test_documents import CHECKOUT

DOCUMENT = (CHECKOUT / "docs" / "deploy.md").read_text()
TO_BE_MADE = {"deploy/.env", "deploy/podwarden.env"}


def test_docs_deploy_names_files_that_there_are():
    named = set(re.findall(r"\bdeploy/[\w./-]*\w", DOCUMENT)) - TO_BE_MADE

    assert [name for name in sorted(named) if not (CHECKOUT / name).exists()] == []


def test_docs_deploy_names_targets_that_there_are():
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"^make ([\w-]+)", DOCUMENT, re.MULTILINE)) <= targets
