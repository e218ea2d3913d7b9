"""Whatever stands in a file, loading it ends with faults that name a place, never with an exception."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_gateway.topology.load import Loaded, Source, load
from tests.topology.harness import KINDS

CORPUS = sorted((Path(__file__).parents[1] / "topology" / "corpus").glob("*/*.yaml"))
MANIFESTS = [file.read_text(encoding="utf-8") for file in CORPUS if "bomb" not in file.name]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3),
    max_leaves=8,
)


def read(text: str) -> Loaded:
    return load([Source("f.yaml", text, Path("/nowhere"))], environment={"SET": "x"}, kinds=KINDS)


def check(found: Loaded) -> None:
    assert (found.spec is None) == any(fault.severity == "error" for fault in found.faults)
    for fault in found.faults:
        assert fault.file == "f.yaml"
        assert fault.message
        assert "\n" not in str(fault)


@given(st.text(max_size=120))
def test_any_text(text: str):
    check(read(text))


@given(st.text(alphabet="abc:-{}[]&*!|>'\"\n\t #<~%@,?0.", max_size=120))
def test_any_text_of_yamls_own_characters(text: str):
    check(read(text))


@settings(max_examples=150)
@given(st.sampled_from(MANIFESTS), st.data())
def test_a_manifest_with_some_characters_changed(text: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 12))
    new = data.draw(st.text(alphabet="abc:-{}[]&*!|>'\"\n \t#~%0$", max_size=6))

    check(read(text[:at] + new + text[at + length :]))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(one for key, part in items for one in places(part, (*path, key)))]


@settings(max_examples=150)
@given(st.sampled_from(CORPUS), values, st.data())
def test_a_manifest_with_any_value_at_any_place(file: Path, value: Any, data: st.DataObject):
    try:
        documents = [
            one for one in pyyaml.safe_load_all(file.read_text(encoding="utf-8")) if isinstance(one, dict)
        ]
    except (pyyaml.YAMLError, RecursionError):
        return
    if not documents or "bomb" in file.name or "itself" in file.name:
        return
    documents = json.loads(json.dumps(documents, default=str))
    *above, last = data.draw(st.sampled_from([path for path in places(documents) if path]))
    part: Any = documents
    for key in above:
        part = part[key]
    part[last] = value

    check(
        read(
            "\n---\n".join(json.dumps(one, allow_nan=False, default=str) for one in documents if _finite(one))
        )
    )


def _finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
