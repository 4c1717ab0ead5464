"""All rules of the file, each with its watch."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import structlog

from audit_api.client.audit_client import AuditClient
from audit_api.push.delivery import Delivery
from audit_api.push.push_settings import PushSettings
from audit_api.push.receivers import webhook_of
from audit_api.push.rule_state import RuleStateFile
from audit_api.push.rule_watch import RuleWatch
from audit_api.rules.rule import Rule
from audit_log.process.mark_file import held_alone

_PREFIX: Final = "rule-"
_SUFFIX: Final = ".json"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def rule_watches(
    settings: PushSettings, rules: list[Rule], client: AuditClient, stack: AsyncExitStack
) -> list[RuleWatch]:
    """Return a watch for each of *rules*, whose receiver is open as long as *stack*.

    Raises MarkFileError while another process watches from this folder, TlsFilesError.
    """
    stack.enter_context(held_alone(settings.dir / "rules"))
    _forget_others(settings.dir, {rule.name for rule in rules})
    webhook = await webhook_of(settings, stack)
    if webhook is None or settings.page_url is None:
        return []
    watches = []
    for rule in rules:
        path = settings.dir / f"{_PREFIX}{rule.name}{_SUFFIX}"
        file = RuleStateFile(path)
        _ = file.read()  # what cannot be read is told at the start
        delivery = Delivery(webhook, rule.name, path.with_suffix(".refused.ndjson"))
        watches.append(RuleWatch(client, rule, delivery, file, settings.page_url))
    return watches


def _forget_others(folder: Path, names: set[str]) -> None:
    """Remove what is kept of rules that are gone: one that comes back begins anew."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        name = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        if name not in names:
            path.unlink()
            log.info("push.rule_forgotten", rule=name)
