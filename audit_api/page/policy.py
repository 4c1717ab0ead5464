"""Response fields that restrict what a browser may do with our pages."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self';"
    # The page shows untrusted text: the browser itself refuses to parse it as HTML.
    " require-trusted-types-for 'script'; trusted-types 'none'"
)

PAGE_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",  # the URL holds the filters
        "Server": "podwarden-audit-api",
        "X-Content-Type-Options": "nosniff",
    }
)
"""The fields of every response that a browser shows or runs."""
