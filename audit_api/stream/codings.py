"""Which content coding a client accepts for a file (RFC 9110, section 12.5.3)."""

import re
from typing import Final

from aiohttp import hdrs, web

_WEIGHTLESS: Final = re.compile(r";\s*q\s*=\s*0(?:\.0{0,3})?\s*\Z", re.IGNORECASE)
_GZIP: Final = frozenset({"gzip", "x-gzip", "*"})


def coding_for(request: web.BaseRequest) -> web.ContentCoding | None:
    """Return gzip if the client of *request* accepts it, else None: nothing is undone for it.

    A client that says nothing gets what it could store as it came.
    """
    named = ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())).split(",")
    accepted = {
        each.partition(";")[0].strip().lower() for each in named if not _WEIGHTLESS.search(each)
    }
    refused = {each.partition(";")[0].strip().lower() for each in named} - accepted
    if "gzip" in refused or not accepted & _GZIP:
        return None
    return web.ContentCoding.gzip
