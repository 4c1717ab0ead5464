"""Overwrites escapes in JSON, so that each quote left begins or ends a string. Pure."""


class Escapes:
    """The escapes of one document. Holds whether the last piece ended within one."""

    def __init__(self) -> None:
        self._is_escaped = False

    def overwritten(self, data: bytes) -> bytes:
        """Return *data*, as long as it is, with other bytes for escaped quotes and backslashes.

        Only strings have escapes, so outside of strings nothing changes in valid JSON.
        """
        if self._is_escaped:
            self._is_escaped = False
            data = b"_" + data[1:] if data else data
        if b"\\" not in data:
            return data
        data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        self._is_escaped = data.endswith(b"\\")
        return data
