from collections.abc import Callable
from typing import final

@final
class UsualRecord:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    attributes: dict[str, str]
    passed: bytes | None

def usual_records(batch: bytes, /) -> list[UsualRecord] | None: ...
def record_headers(attributes: dict[str, str], kinds: bytes | None, passed: bytes | None, /) -> bytes: ...
def batch_records(records: list[tuple[bytes | None, bytes | None, bytes]], room: int, /) -> bytearray: ...

crc32c: Callable[[bytes | bytearray | memoryview], int] | None
