"""The commands that read the audit log, and what each does in a few words."""

from typing import Final

SUMMARIES: Final = {
    "query": "list entries, tool calls or gaps, newest first",
    "tail": "show the newest entries, and follow those that arrive",
    "show": "show one entry, tool call, session or token with all its details",
    "export": "write entries or tool calls to a file or a pipe, once or as they arrive",
    "top": "count calls by token, tool, client, status, session or object",
    "objects": "list the objects of the API with the most changes",
    "sessions": "list the sessions of agents, last used first",
    "reads": "list who read the audit log, through the audit API",
    "sign-in-link": "print a link that signs a browser in to the page, once within 5 minutes",
}
