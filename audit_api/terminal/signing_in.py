"""`podwarden-audit sign-in-link`: a browser signed in without a token typed into it."""

import argparse
import json

from audit_api.client.audit_client import AuditClient
from audit_api.sources.source import TOKEN, URL, Source, SourceError
from audit_api.terminal.screen import Screen


async def sign_in_link(client: AuditClient, screen: Screen, options: argparse.Namespace) -> None:
    """Show a link, alone on standard output, and beside it until when it works."""
    link, expires_at = await client.sign_in_link()
    if options.json:
        screen.line(json.dumps({"link": link, "expires_at": expires_at.isoformat()}))
        return
    screen.line(link)
    screen.remark(f"It works once, until {screen.moment(expires_at)}.")


def refuse_database(source: Source) -> None:
    """Raise SourceError if *source* is a database: the browser needs an audit API that goes on."""
    if source.database_url is not None:
        raise SourceError(f"an audit API makes the link: set {URL} and {TOKEN}")
