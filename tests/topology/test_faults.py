"""How findings are printed."""

from __future__ import annotations

import json

from mesh_gateway.topology.faults import Fault, meant, render, shown

FAULT = Fault(
    "MG011", "error", "mesh.yaml", 7, 3, "spec.subcriber", "unknown field, did you mean 'subscriber'?"
)
WHOLE = Fault("MG001", "error", "gone.yaml", 0, 0, "", "no such file or directory")


def test_a_fault_is_one_line_with_its_place_code_and_help():
    assert str(FAULT) == (
        "mesh.yaml:7:3 MG011 error spec.subcriber: unknown field, did you mean 'subscriber'? (mgw help MG011)"
    )
    assert str(WHOLE) == "gone.yaml MG001 error no such file or directory (mgw help MG001)"


def test_as_text_each_fault_is_a_line():
    assert render([FAULT, WHOLE], "text").splitlines() == [str(FAULT), str(WHOLE)]


def test_as_json_each_fault_is_an_object():
    assert json.loads(render([FAULT], "json")) == [
        {
            "code": "MG011",
            "severity": "error",
            "file": "mesh.yaml",
            "line": 7,
            "column": 3,
            "path": "spec.subcriber",
            "message": "unknown field, did you mean 'subscriber'?",
            "help": "docs/errors/MG011.md",
        }
    ]
    assert json.loads(render([], "json")) == []


def test_github_commands_are_one_line_each_whatever_is_in_them():
    tricky = Fault("MG010", "warning", "a,b:c.yaml", 1, 2, "spec", "50%\nof ::error:: it")

    assert render([tricky, WHOLE], "github").splitlines() == [
        "::warning file=a%2Cb%3Ac.yaml,line=1,col=2,title=MG010::spec: 50%25%0Aof ::error:: it",
        "::error file=gone.yaml,title=MG001::no such file or directory",
    ]


def test_a_path_is_shown_as_people_write_it():
    assert shown(("spec", "filters", 0, "any", 1, "exact")) == "spec.filters[0].any[1].exact"
    assert shown(("metadata", "annotations", "a/b.c")) == "metadata.annotations[a/b.c]"


def test_what_is_meant_is_near_or_differs_in_case():
    assert meant("subcriber", ["subscriber", "broker"]) == ", did you mean 'subscriber'?"
    assert meant("BROKERREF", ["brokerRef"]) == ", did you mean 'brokerRef'?"
    assert meant("cacerts", ["CACerts"]) == ", did you mean 'CACerts'?"
    assert meant("zebra", ["subscriber"]) == ""
