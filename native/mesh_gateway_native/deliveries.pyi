from collections.abc import Mapping

def binary_request(
    first: bytes,
    attributes: Mapping[str, str],
    headers: Mapping[str, str] | None,
    skipped: str,
    data: bytes | None,
    most: int,
    /,
) -> bytes | None: ...
