"""A corpus of broken documents: each fault has its code, its place, and a sentence with the way out."""

from __future__ import annotations

import textwrap

import pytest

from mesh_gateway.topology.faults import CODES, render
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load

BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n"
TRIGGER = 'apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec:\n  broker: b\n  subscriber: {uri: "http://x/"}\n'
GATEWAY = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
TRANSPORT = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Transport\nmetadata: {name: m}\nspec:\n"
ENDPOINT = "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Endpoint\nmetadata: {name: e}\nspec:\n"


def read(
    *texts: str, environment: dict[str, str] | None = None, strict: bool = False, partial: bool = False
) -> Loaded:
    sources = [Source(f"{i}.yaml", textwrap.dedent(text)) for i, text in enumerate(texts)]
    return load(sources, environment=environment or {}, kinds=Kinds.builtin(), strict=strict, partial=partial)


def trigger(line: str) -> str:
    """The trigger with one more line of spec, which is line 7."""
    return TRIGGER + f"  {line}\n"


CORPUS = [
    ("a: b: c", "MG002", 1, "mapping values"),
    ("a: [1, 2", "MG002", 2, "expected"),
    ("a:\n\t- 1", "MG002", 2, ""),
    ("a: !!python/object:os.system x", "MG002", 1, "tag"),
    ("- 1", "MG012", 1, "is an object"),
    ("just text", "MG012", 1, "is an object"),
    ("kind: Broker\nmetadata: {name: x}", "MG012", 1, "apiVersion"),
    ("apiVersion: v1\nkind: Broker", "MG012", 1, "metadata.name"),
    (BROKER.replace("{name: b}", "{name: b}\nspec: {}\nspec: {}"), "MG003", 5, "first in line 4"),
    (BROKER + "---\n" + BROKER, "MG004", 7, "0.yaml:3:12"),
    (GATEWAY + "  cluster: a\n---\n" + GATEWAY.replace("name: g", "name: h") + "  cluster: b", "MG015", 9, "stands already"),
    (BROKER.replace("name: b", "name: B!"), "MG013", 3, "a-z"),
    (BROKER.replace("name: b", "name: " + "x" * 64), "MG013", 3, "63"),
    (BROKER.replace("name: b", "name: b, namespace: ../etc"), "MG013", 3, "a-z"),
    ("apiVersion: mesh-gateway.dev/v1alpha1\nkind: Endpont\nmetadata: {name: x}", "MG014", 2, "did you mean 'Endpoint'?"),
    ("apiVersion: mesh-gateway.dev/v1\nkind: Gateway\nmetadata: {name: x}", "MG014", 2, "v1alpha1"),
    ("apiVersion: mesh-gateway.dev/v1alpha1\nkind: Relay\nmetadata: {name: x}", "MG204", 2, "no relays"),
    (GATEWAY + "  ingres: {}", "MG011", 5, "did you mean 'ingress'?"),
    (GATEWAY + "  ingress: {maxEventBytes: 1}", "MG010", 5, "65536"),
    (GATEWAY + '  ingress: {listen: "8080"}', "MG010", 5, "HOST:PORT"),
    (GATEWAY + '  ingress: {listen: "a:99999"}', "MG010", 5, "HOST:PORT"),
    (GATEWAY + "  ingress: {tls: {certificate: no.pem, key: no.key}}", "MG026", 5, "not a file"),
    (GATEWAY + '  admin: {listen: "0.0.0.0:8081"}', "MG050", 5, "token"),
    (GATEWAY + "  admin: {token: secret}", "MG010", 5, ""),
    (GATEWAY + "  admin: {token: {valueFrom: {env: NOT_SET}}}", "MG026", 5, "NOT_SET"),
    (GATEWAY + "  admin: {token: {valueFrom: {file: no-such-file}}}", "MG026", 5, "cannot be read"),
    (GATEWAY + "  admin: {token: {valueFrom: {}}}", "MG026", 5, "exactly one"),
    (GATEWAY + "  admin: {token: {valueFrom: {secretKeyRef: {name: s, key: k}}}}", "MG026", 5, "no Secret"),
    (GATEWAY + "  drainTimeout: 25s", "MG010", 5, "ISO 8601"),
    (GATEWAY + "  drainTimeout: P900D", "MG010", 5, "longer than a year"),
    (GATEWAY + "  defaultTransport: nope\n---\n" + BROKER, "MG023", 5, "no Transport 'nope'"),
    (GATEWAY + "  cluster: ${NOT_SET}", "MG005", 5, "NOT_SET"),
    (GATEWAY + "  cluster: ${X:?give me}", "MG005", 5, "give me"),
    (GATEWAY + "  cluster: ${", "MG005", 5, "comes a name"),
    (GATEWAY + "  peers: []", "MG204", 5, "no relays"),
    (TRANSPORT + "  kind: kafak", "MG024", 5, "embedded"),
    (TRANSPORT + "  kind: embedded\n  options: {retention: 5 minutes}", "MG025", 6, "ISO 8601"),
    (TRANSPORT + "  kind: embedded\n  options: {retenton: PT1M}", "MG025", 6, ""),
    (TRANSPORT + "  kind: embedded\n  ensure: maybe", "MG010", 6, "create"),
    (ENDPOINT + "  url: ftp://x", "MG027", 5, "http"),
    (ENDPOINT + "  url: http://u:p@x/", "MG027", 5, "credentials"),
    (ENDPOINT + "  url: http://169.254.169.254/", "MG027", 5, "not allowed"),
    (ENDPOINT + "  url: http://0xa9fea9fe/", "MG027", 5, "not allowed"),
    (ENDPOINT + '  url: "http://[::ffff:169.254.169.254]/"', "MG027", 5, "not allowed"),
    (ENDPOINT + "  url: http://x/\n  caCerts: {file: no.pem}", "MG026", 6, "cannot be read"),
    (BROKER + "spec: {config: {kind: Transport, name: nope}}", "MG023", 4, "nope"),
    (BROKER + "spec: {delivery: {retry: -1}}", "MG010", 4, "greater than or equal to 0"),
    (BROKER + 'spec: {delivery: {retry: "3"}}', "MG010", 4, "integer"),
    (BROKER + "spec: {delivery: {backoffPolicy: Linear}}", "MG010", 4, "linear"),
    (BROKER + "spec: {delivery: {timeout: 30}}", "MG010", 4, "string"),
    (TRIGGER, "MG020", 5, "no Broker default/b"),
    (BROKER + "---\n" + TRIGGER.replace('  subscriber: {uri: "http://x/"}\n', ""), "MG010", 8, "subscriber"),
    (BROKER + "---\n" + TRIGGER.replace("http://x/", "x"), "MG027", 10, "scheme"),
    (BROKER + "---\n" + TRIGGER.replace('{uri: "http://x/"}', "{}"), "MG010", 10, "ref or a uri"),
    (BROKER + "---\n" + TRIGGER.replace('{uri: "http://x/"}', "{ref: {kind: Sequence, name: s}}"), "MG022", 10, "Sequence"),
    (BROKER + "---\n" + TRIGGER.replace('{uri: "http://x/"}', "{ref: {kind: Endpoint, name: s}}"), "MG021", 10, "no Endpoint"),
    (BROKER + "---\n" + TRIGGER.replace('{uri: "http://x/"}', "{ref: {kind: Broker, name: s}}"), "MG021", 10, "no Broker"),
    (BROKER + "---\n" + TRIGGER.replace('{uri: "http://x/"}', '{ref: {kind: Service, name: s}, uri: "http://y/"}'), "MG010", 10, "relative"),
    (BROKER + "---\n" + trigger("filters: [{exact: {}}]"), "MG031", 11, "at least one attribute"),
    (BROKER + "---\n" + trigger("filters: [{exact: {type: a}, prefix: {type: b}}]"), "MG031", 11, "one dialect"),
    (BROKER + "---\n" + trigger("filters: [{exakt: {type: a}}]"), "MG031", 11, "did you mean 'exact'?"),
    (BROKER + "---\n" + trigger('filters: [{cesql: "type = "}]'), "MG031", 11, "column"),
    (BROKER + "---\n" + trigger('filters: [{cesql: "1 + 2"}]'), "MG031", 11, ""),
    (BROKER + "---\n" + trigger("filters: [{exact: {Type: a}}]"), "MG031", 11, "Type"),
    (BROKER + "---\n" + trigger("brokerRef: {kind: Broker, name: b}"), "MG010", 8, "exactly one"),
    (BROKER + "---\n" + TRIGGER.replace("{name: t}", '{name: t, annotations: {mesh-gateway.dev/ordr: "x"}}'), "MG028", 7, "mesh-gateway.dev/order"),
    (BROKER + "---\n" + TRIGGER.replace("{name: t}", "{name: t, annotations: {mesh-gateway.dev/order: sorted}}"), "MG028", 7, "ordered"),
    (BROKER + "---\n" + TRIGGER.replace("{name: t}", '{name: t, annotations: {mesh-gateway.dev/parallelism: "0"}}'), "MG028", 7, "1 to 1000"),
    (BROKER + "---\n" + TRIGGER.replace("{name: t}", "{name: t, annotations: {mesh-gateway.dev/start: earliest}}"), "MG028", 7, "dedicated"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "says"), CORPUS, ids=range(len(CORPUS)))
def test_a_broken_document_is_told_its_code_place_and_way_out(text, code, line, says):
    loaded = read(text)

    assert loaded.spec is None
    fault = next(f for f in loaded.faults if f.code == code)
    assert fault.severity == "error"
    assert fault.line == line
    assert says in f"{fault.path}: {fault.message}"
    assert str(fault).startswith(f"0.yaml:{line}:{fault.column} {code} error ")


def test_every_error_of_every_file_is_found_in_one_pass():
    loaded = read(
        GATEWAY + "  ingres: {}\n  cluster: ${NOT_SET}", trigger("filters: [{exact: {}}, {bad: 1}]"), "a: ["
    )

    assert {f.code for f in loaded.errors} >= {"MG011", "MG005", "MG020", "MG031", "MG002"}
    assert {f.file for f in loaded.faults} == {"0.yaml", "1.yaml", "2.yaml"}


def test_a_trigger_without_a_subscriber_still_hears_of_its_filters():
    text = trigger("filters: [{exact: {}}]").replace('  subscriber: {uri: "http://x/"}\n', "")

    assert {f.code for f in read(BROKER + "---\n" + text).errors} == {"MG010", "MG031"}


def test_a_missing_file_is_a_fault_and_no_exception():
    (source,) = Source.from_paths(["no/such/file.yaml"])

    loaded = load([source], environment={}, kinds=Kinds.builtin())

    assert [f.code for f in loaded.faults] == ["MG001"]


def test_aliases_are_allowed_and_counted_as_what_they_expand_to():
    fine = BROKER + "x-common: &d {retry: 3}\nspec: {delivery: *d}\n"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )

    assert read(fine).spec is not None
    assert "MG006" in {f.code for f in read(bomb).faults}


def test_a_document_nested_too_deep_is_refused():
    assert "MG006" in {f.code for f in read("a: " + "[" * 100 + "]" * 100).faults}


@pytest.mark.parametrize("text", ["on", "no", "0777", "12:30:45", "2026-01-01", "~x"])
def test_what_yaml_1_1_would_twist_stays_text_or_a_number(text):
    loaded = read(BROKER + "---\n" + trigger(f"filters: [{{exact: {{type: '{text}'}}}}]"))

    assert loaded.spec is not None
    assert loaded.spec.triggers["default/t"].filters == ({"exact": {"type": text}},)


def test_partial_makes_an_absent_broker_a_warning():
    loaded = read(TRIGGER, partial=True)

    assert loaded.spec is not None
    assert [f.severity for f in loaded.faults if f.code == "MG020"] == ["warning"]


def test_unknown_fields_of_knative_kinds_are_warnings_unless_strict():
    text = BROKER + "spec: {delivry: {retry: 3}}"

    assert [(f.code, f.severity) for f in read(text).faults] == [("MG011", "warning")]
    assert read(text).spec is not None
    assert read(text, strict=True).spec is None


def test_faults_can_be_shown_for_programs_and_for_github():
    faults = read(GATEWAY + "  ingres: {}").faults

    assert '"code": "MG011"' in render(faults, "json")
    assert render(faults, "github").startswith("::error file=0.yaml,line=5,col=3,title=MG011::spec.ingres")


def test_every_code_has_its_page():
    from pathlib import Path

    pages = Path(__file__).parent.parent.parent / "docs" / "errors"
    for code in CODES:
        assert (pages / f"{code}.md").read_text().startswith(f"# {code} — ")
