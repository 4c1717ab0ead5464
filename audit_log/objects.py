"""Which object of the API a path names, and the path's template: ids told from words.

`/api/v1/clusters/12/nodes` is about the object `clusters/12`, and its template is
`/api/v1/clusters/{id}/nodes`. Nothing is known of the API but its paths, so an id is known by how
it is written: names of collections and actions have no digits, ids have.
"""

import re
from typing import Final

_VERSION: Final = re.compile(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")
# A digit anywhere, or text as long as only random ids are; `%` is text that no word needs.
_ID: Final = re.compile(r".*[0-9%].*|[A-Za-z_-]{32,}")
_PLACE: Final = "{id}"


def template_of(path: str) -> str:
    """Return *path* with `{id}` for each id in it."""
    return "/".join(_PLACE if _is_id(part) else part for part in path.split("/"))


def object_of(path: str) -> str | None:
    """Return the object that *path* names, from its collection to its last id; None if none.

    What stands before is where the API lies: `/api/v1`.
    """
    parts = path.strip("/").split("/")
    ids = [at for at, part in enumerate(parts) if _is_id(part)]
    if not ids:
        return None
    versions = [at for at, part in enumerate(parts) if _VERSION.fullmatch(part)]
    begins = versions[0] + 1 if versions and versions[0] < ids[0] else 0
    return "/".join(parts[begins : ids[-1] + 1])


def _is_id(part: str) -> bool:
    return _VERSION.fullmatch(part) is None and _ID.fullmatch(part) is not None
