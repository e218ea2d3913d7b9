"""Options of the embedded transport."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mesh_gateway.transport.embedded.options import EmbeddedOptions


@pytest.mark.parametrize(
    ("given", "seconds"), [("PT10M", 600), ("P1DT1H", 90_000), ("PT0.5S", 0.5), (30, 30), (0, 0)]
)
def test_retention_is_a_duration_or_seconds(given, seconds):
    assert EmbeddedOptions(retention=given).retention == seconds


@pytest.mark.parametrize("given", ["10 minutes", "P", "PT", "", -1, "PT-1S"])
def test_what_is_no_duration_is_refused(given):
    with pytest.raises(ValidationError, match="retention"):
        EmbeddedOptions(retention=given)


def test_names_are_those_of_the_document():
    assert EmbeddedOptions.model_validate({"maxBytes": 2**30}).max_bytes == 2**30


def test_an_unknown_option_is_refused():
    with pytest.raises(ValidationError, match="maxSize"):
        EmbeddedOptions.model_validate({"maxSize": 1})


def test_every_option_is_described():
    assert all(field.description for field in EmbeddedOptions.model_fields.values())
