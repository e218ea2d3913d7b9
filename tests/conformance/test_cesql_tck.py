"""CESQL against the specification's own test kit (cloudevents/spec, cesql/cesql_tck, v1.0.0): 274 of 275 cases.

The kit lies outside this repository: in `$MESH_SHARED/conformance/cesql_tck`, or in a folder `shared` beside the
checkout. Without it the tests are skipped aloud; in CI they fail.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_gateway import attributes
from mesh_gateway.event import Event
from mesh_gateway.filters import cesql

SHARED = Path(os.environ.get("MESH_SHARED") or Path(__file__).parents[3] / "shared")
KIT = SHARED / "conformance" / "cesql_tck"
CASES = 275

EXCEPTIONS = {
    ("not_operator", "Invalid int cast"): (
        "wants `NOT 10` to be a cast error, but 3.7 of the specification casts every Integer to a Boolean; "
        "sdk-go and sdk-java changed their copies of this case"
    ),
}


class _TextLoader(yaml.SafeLoader):
    """Times stay text, as they are in an event."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _cases() -> Iterator[Any]:
    for file in sorted(KIT.glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        # An expression like TRUE or -10 is a YAML scalar of another type: it counts as it is written.
        written = yaml.load(text, yaml.BaseLoader)["tests"]
        for case, as_written in zip(yaml.load(text, _TextLoader)["tests"], written, strict=True):
            case["expression"] = as_written["expression"]
            reason = EXCEPTIONS.get((file.stem, case["name"]))
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(case, id=f"{file.stem}-{case['name']}", marks=marks)


LOADED = list(_cases())


def test_the_kit_is_there_and_whole() -> None:
    if not KIT.is_dir() and os.environ.get("CI") != "true":
        pytest.skip(f"the CESQL TCK is not at {KIT}: name its parent folder in MESH_SHARED")
    assert len(LOADED) == CASES, f"the CESQL TCK at {KIT} is not whole"


@pytest.mark.parametrize("case", LOADED)
def test_an_expression_gives_what_the_specification_says(case: dict[str, Any]) -> None:
    if case.get("error") == "parse":
        with pytest.raises(cesql.CesqlSyntaxError):
            cesql.compile(case["expression"])
        return
    result = cesql.compile(case["expression"]).evaluate(_event(case))
    assert result.error == case.get("error"), result.message
    if "result" in case:
        assert (type(result.value), result.value) == (type(case["result"]), case["result"])


def _event(case: dict[str, Any]) -> Event:
    given = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    given |= case.get("event") or {}
    given |= case.get("eventOverrides") or {}
    given.pop("data", None)
    texts, kinds, faults = attributes.canonical(given)
    assert not faults
    return Event(texts, None, kinds)
