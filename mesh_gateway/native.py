"""Native parts: what costs most, in C, from the optional wheel `mesh-gateway-native`.

Chosen once, when this module is imported, before any other of ours; `MESH_NATIVE=off` in the environment, or no wheel,
leaves all of it to Python. A part is a function that does what Python does, exactly, or only the usual case and says None
of any other, so that nothing depends on whether it is there. Where a part is missing, its name here is None. The modules
of the data path are in the wheel, too, compiled as they stand here (`compiled`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesh_gateway.compiled import Finder, Unusable, libraries

if TYPE_CHECKING:
    from mesh_gateway_native.records import UsualRecord
    from mesh_gateway_native.requests import PlainHead

INTERFACE = 1
"""What the parts take and give; a wheel that was made for another is not used."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts there are, and why there are no others."""

    version: str | None = None
    """Of the wheel that is used."""
    why_not: str = ""
    plain_head: Callable[[bytes, int, int, int], PlainHead | None] | None = None
    """A request's head and the event in it, used by `ingress.protocol`. Takes 28 % off an event end to end, and 59 % off the ingress."""
    binary_request: (
        Callable[[bytes, Mapping[str, str], Mapping[str, str] | None, str, bytes | None, int], bytes | None]
        | None
    ) = None
    """An event's request in binary mode, used by `delivery.http`. Takes a tenth off what is left then, and 37 % off the delivery."""
    plainly_valid: Callable[[Mapping[str, str]], bool] | None = None
    """Whether attributes are those of the usual valid event, used by `attributes`. Takes a quarter off an event of a JSON batch, and 5
    µs of some 100 off one over RabbitMQ."""
    usual_records: Callable[[bytes], list[UsualRecord] | None] | None = None
    """The events of a batch of Kafka's records, used by the plugin for Kafka. With the next two, which write such a batch, it takes
    22 % off an event end to end over Kafka."""
    record_headers: Callable[[dict[str, str], bytes | None, bytes | None], bytes] | None = None
    """Of an event, as they stand in a batch; of any event."""
    batch_records: Callable[[list[tuple[bytes | None, bytes | None, bytes]], int], bytearray] | None = None
    """A batch of keys, values and such headers, behind so much room for its own header."""
    crc32c: Callable[[bytes | bytearray | memoryview], int] | None = None
    """Kafka's checksum of a batch, by an instruction of the processor; None where it has none."""
    compiled: Mapping[str, Path] = field(default_factory=dict)
    """Our modules of the data path, as libraries. Takes another quarter off an event end to end, and a third off the ingress
    and the delivery."""
    why_not_compiled: str = ""

    def __str__(self) -> str:
        return f"no native parts: {self.why_not}" if self.used is None else f"native parts {self.used}"

    @property
    def used(self) -> str | None:
        """What is used, for who looks at a gateway: the version, and why compiled modules are not, all or some."""
        if self.version is None or not self.why_not_compiled:
            return self.version
        left_out = "some compiled modules" if self.compiled else "compiled modules"
        return f"{self.version} without {left_out}: {self.why_not_compiled}"


def chosen(environment: Mapping[str, str]) -> Parts:
    """The parts that this environment asks for and the installation has. Never fails."""
    if environment.get("MESH_NATIVE") == "off":
        return Parts(why_not="MESH_NATIVE=off")
    try:
        import mesh_gateway_native as wheel
    except ModuleNotFoundError:
        return Parts(why_not="mesh-gateway-native is not installed")
    if wheel.INTERFACE != INTERFACE:
        return Parts(why_not=f"mesh-gateway-native {wheel.__version__} is for another mesh-gateway")
    try:
        from mesh_gateway_native import deliveries, requests
    except ImportError as error:
        return Parts(why_not=f"mesh-gateway-native cannot be loaded: {error}")
    parts = _with_compiled(
        Parts(
            version=wheel.__version__,
            plain_head=requests.plain_head,
            binary_request=deliveries.binary_request,
        ),
        Path(wheel.__file__).parent / "compiled",
    )
    try:
        from mesh_gateway_native import attributes, records
    except ImportError:  # a wheel from before there were these parts
        return parts
    return replace(
        parts,
        plainly_valid=attributes.plainly_valid,
        usual_records=records.usual_records,
        record_headers=records.record_headers,
        batch_records=records.batch_records,
        crc32c=getattr(records, "crc32c", None),  # a wheel from before there was one
    )


def _with_compiled(parts: Parts, folder: Path) -> Parts:
    try:
        usable = libraries(folder)
        return replace(parts, compiled=usable.found, why_not_compiled="; ".join(usable.left_out))
    except Unusable as error:
        return replace(parts, why_not_compiled=str(error))


PARTS = chosen(os.environ)
if PARTS.compiled:
    sys.meta_path.insert(0, Finder(PARTS.compiled))
