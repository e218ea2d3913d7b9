"""What can be wrong with documents: the codes, the faults, and how they are printed.

A code is stable: it never changes its meaning and is never used again. Each has a page in
docs/errors/. A fault names its place (`mesh.yaml:7:3`), its path in the document and a sentence
that says what to do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, assert_never

Severity = Literal["error", "warning", "notice"]
Path = tuple[str | int, ...]
"""Where in a document: ("spec", "filters", 0, "exact")."""


class Code(NamedTuple):
    """A kind of fault: how bad it is by itself, and what it is called."""

    severity: Severity
    title: str


CODES: Mapping[str, Code] = {
    # Reading
    "MG001": Code("error", "a file cannot be read"),
    "MG002": Code("error", "the YAML cannot be parsed"),
    "MG003": Code("error", "a key stands twice in one object"),
    "MG004": Code("error", "the same document stands twice"),
    "MG005": Code("error", "a variable is not set"),
    "MG006": Code("error", "a file is over a limit of size, values or depth"),
    "MG008": Code("warning", "there are no documents"),
    # Shape
    "MG010": Code("error", "a field is missing or has a wrong value"),
    "MG011": Code("error", "a field is unknown"),
    "MG012": Code("error", "a document has no apiVersion, kind or metadata.name"),
    "MG013": Code("error", "a name is not usable"),
    "MG014": Code("error", "a kind is unknown"),
    "MG015": Code("error", "there is more than one Gateway"),
    # References
    "MG020": Code("error", "the Broker of a Trigger or Relay is not in the files"),
    "MG021": Code("error", "a reference leads nowhere"),
    "MG022": Code("error", "a destination refers to a kind that is not served here"),
    "MG023": Code("error", "a Transport is not in the files"),
    "MG024": Code("error", "no plugin brings a kind of transport, or it failed"),
    "MG025": Code("error", "a transport's options are wrong"),
    "MG026": Code("error", "a secret or certificate cannot be read"),
    "MG027": Code("error", "a URL cannot be delivered to"),
    "MG028": Code("error", "an annotation has a wrong value"),
    # Filters
    "MG030": Code("warning", "an expression reads otherwise than it looks"),
    "MG031": Code("error", "a filter is wrong"),
    "MG032": Code("notice", "both filters and filter are given; filters counts"),
    "MG033": Code("error", "the transport cannot do what a trigger or relay needs"),
    "MG034": Code("warning", "a transport stores smaller events than the gateway accepts"),
    # The mesh as a whole
    "MG040": Code("warning", "events can go round in a loop"),
    "MG041": Code("error", "dead letters go back into their own broker"),
    # Between gateways
    "MG042": Code("error", "a relay leads back into its own broker"),
    "MG043": Code("error", "two peers cannot be told from each other"),
    "MG044": Code("error", "a peer is known by a certificate that nobody is asked for"),
    "MG045": Code("warning", "a token travels in the clear"),
    "MG046": Code("warning", "a relay has no credential"),
    "MG047": Code("notice", "relays lead round in a ring"),
    "MG048": Code("error", "two gateways have one name"),
    # The gateway
    "MG050": Code("error", "the admin listener is open to others and has no token"),
    "MG052": Code("error", "two listeners have one address"),
    "MG053": Code("warning", "a certificate is not verified"),
    # Several workers (`run --workers`)
    "MG054": Code("error", "several workers would not keep the order of a trigger"),
    "MG055": Code("error", "several workers would not recognise what was relayed twice"),
    "MG056": Code("error", "several workers have no common position to start at"),
    "MG057": Code("error", "there are more workers than a trigger may deliver at a time"),
    "MG058": Code("error", "ordered events wait that another number of workers has stored"),
    # What is served
    "MG201": Code("warning", "a Knative kind is not served here"),
    "MG202": Code("warning", "a document of another kind was skipped"),
    "MG203": Code("notice", "a broker of a class without an entry runs on the default transport"),
    "MG205": Code("warning", "a setting has no effect here"),
}
"""Code -> (usual severity, what it is about)."""

RETIRED: Mapping[str, str] = {
    "MG204": "relays are not served by this version",
}
"""Codes that are no longer reported: what they were about. Their pages say since when; they are never used again."""


class Place(NamedTuple):
    """A point in a file, counted from 1; line 0 means the file as a whole."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Placed(Protocol):
    """Something read from a file that knows the place of each of its parts."""

    def place(self, path: Path, *, key: bool = False) -> Place: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding. `path` is text (`spec.filters[0].exact`), empty for a whole document or file."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = Place(self.file, self.line, self.column)
        path = f"{self.path}: " if self.path else ""
        return f"{place} {self.code} {self.severity} {path}{self.message} (mgw help {self.code})"


class Faults:
    """Collects the findings of one load."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self._unfilled: set[Place] = set()

    def add(
        self, code: str, place: Place, message: str, *, path: Path = (), severity: Severity | None = None
    ) -> None:
        """Note a finding at a place that is already known."""
        if code == "MG005":
            self._unfilled.add(place)
        elif place in self._unfilled:
            return  # what else is wrong with that text follows from the variable without a value
        level = severity or CODES[code].severity
        self.found.append(Fault(code, level, *place, shown(path), message))

    def on(
        self,
        document: Placed,
        code: str,
        path: Path,
        message: str,
        *,
        severity: Severity | None = None,
        key: bool = False,
    ) -> None:
        """Note a finding about `path` of a document; `key`: about the name of the field, not its value."""
        self.add(code, document.place(path, key=key), message, path=path, severity=severity)


def help_page(code: str) -> str:
    """The page that explains the code, in the project."""
    return f"docs/errors/{code}.md"


def shown(path: Path) -> str:
    """A path as people write it: `spec.filters[0]`, `metadata.annotations[mesh-gateway.dev/order]`."""
    text = ""
    for part in path:
        if isinstance(part, int) or not part.replace("_", "").replace("-", "").isalnum():
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def closest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant; case does not count."""
    names = {name.lower(): name for name in reversed(list(known))}
    found = [word.lower()] if word.lower() in names else difflib.get_close_matches(word.lower(), names, n=1)
    return names[found[0]] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'subscriber'?` when one of `known` is close, else nothing."""
    close = closest(word, known)
    return f", did you mean {close!r}?" if close else ""


def render(faults: Sequence[Fault], format: Literal["text", "json", "github"] = "text") -> str:
    """All faults for people (one a line), for programs (a JSON array) or as GitHub workflow commands."""
    match format:
        case "text":
            return "\n".join(str(fault) for fault in faults)
        case "json":
            return json.dumps([_record(fault) for fault in faults], indent=2, ensure_ascii=False)
        case "github":
            return "\n".join(_command(fault) for fault in faults)
    assert_never(format)


def _record(fault: Fault) -> dict[str, str | int]:
    return {
        "code": fault.code,
        "severity": fault.severity,
        "file": fault.file,
        "line": fault.line,
        "column": fault.column,
        "path": fault.path,
        "message": fault.message,
        "help": help_page(fault.code),
    }


def _command(fault: Fault) -> str:
    """`::error file=mesh.yaml,line=7,col=3,title=MG011::…`; a notice is one there as well."""
    text = f"{fault.path}: {fault.message}" if fault.path else fault.message
    where = f"file={_property(fault.file)}"
    if fault.line:
        where += f",line={fault.line},col={fault.column}"
    return f"::{fault.severity} {where},title={fault.code}::{_data(text)}"


def _data(text: str) -> str:
    """Workflow commands are one line each; these three would end or change it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
