from typing import ClassVar, final

@final
class PlainHead:
    target: bytes
    length: int
    end: int
    attributes: dict[str, str]
    passed: dict[str, str] | None

    method: ClassVar[bytes]
    headers: ClassVar[tuple[tuple[bytes, bytes], ...]]
    fields: ClassVar[dict[bytes, bytes]]
    keep_alive: ClassVar[bool]
    chunked: ClassVar[bool]
    expects: ClassVar[None]

def plain_head(buffer: bytes, at: int, most_bytes: int, most_headers: int, /) -> PlainHead | None: ...
