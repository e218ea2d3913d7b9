"""The verbs that work on documents alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_gateway.cli import connect
from mesh_gateway.errors import PluginError
from mesh_gateway.gateway.assembly import make_link
from mesh_gateway.gateway.link import Link
from mesh_gateway.topology.spec import GatewaySpec, TransportSpec
from mesh_gateway.transport.contract import ChannelSpec, Check, Drift, Ensure, Level
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

MESH = """\
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {ingress: {listen: "127.0.0.1:${PORT:-8080}"}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders, namespace: shop}
spec: {delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, deadLetterSink: {uri: "http://dls:8080"}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: billing, namespace: shop}
spec: {broker: orders, filters: [{exact: {type: order.created}}], subscriber: {uri: "http://billing:8080"}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: audit-eu, namespace: shop}
spec:
  broker: orders
  filters: [{all: [{prefix: {type: order.}}, {prefix: {source: /eu/}}]}]
  subscriber: {uri: "http://audit:8080"}
"""

TYPO = MESH.replace("broker: orders, filters", "brokr: orders, filters")


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good mesh.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    path = tmp_path / "mesh.yaml"
    path.write_text(MESH)
    return path


def test_good_documents_lint_clean(run, mesh: Path):
    result = run("lint", "-f", str(mesh))

    assert (result.exit_code, result.stdout) == (0, "")
    assert "ok: 1 broker(s), 2 trigger(s)" in result.stderr


def test_a_fault_is_shown_with_its_place_and_code_and_exits_with_78(run, mesh: Path):
    mesh.write_text(TYPO)

    result = run("lint")

    assert result.exit_code == 78
    assert "mesh.yaml:14:8 MG011" in result.stdout
    assert "did you mean 'broker'" in result.stdout


def test_faults_for_programs_and_for_github(run, mesh: Path):
    mesh.write_text(TYPO)

    codes = {fault["code"] for fault in json.loads(run("lint", "-o", "json").stdout)}

    assert "MG011" in codes
    assert "file=mesh.yaml,line=14" in run("lint", "-o", "github").stdout


def test_no_faults_are_an_empty_array_for_programs(run, mesh: Path):
    assert json.loads(run("lint", "-o", "json").stdout) == []


def test_strict_makes_an_error_of_an_unknown_knative_field(run, mesh: Path):
    mesh.write_text(MESH.replace("spec: {delivery:", "spec: {deliver: 1, delivery:"))

    assert run("lint").exit_code == 0
    assert run("lint", "--strict").exit_code == 78


def test_partial_allows_a_broker_that_is_elsewhere(run, mesh: Path):
    mesh.write_text(MESH.replace("broker: orders\n", "broker: elsewhere\n"))

    assert run("lint").exit_code == 78
    assert run("lint", "--partial").exit_code == 0


def test_standard_input_is_read(run, mesh: Path):
    assert run("lint", "-f", "-", input=TYPO).exit_code == 78


def test_connect_asks_the_used_transports_and_makes_nothing(run, mesh: Path):
    result = run("lint", "--connect")

    assert result.exit_code == 0
    assert "✓ embedded permission: state directory" in result.stderr
    assert list(mesh.parent.iterdir()) == [mesh]


def test_connect_that_finds_something_is_a_failed_check(run, mesh: Path, monkeypatch: pytest.MonkeyPatch):
    async def check(self: EmbeddedTransport) -> list[Check]:
        return [Check("login", Level.AUTH, ok=False, detail="refused", hint="mend the password")]

    monkeypatch.setattr(EmbeddedTransport, "check", check)

    result = run("lint", "--connect")

    assert result.exit_code == 1
    assert "✗ embedded auth: login: refused (mend the password)" in result.stderr


VERIFIED = """---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {name: theirs}
spec: {kind: embedded, ensure: verify}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: absent}
spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: theirs}}
"""


def test_connect_says_which_channels_are_missing_where_nothing_may_be_made(run, mesh: Path, tmp_path: Path):
    result = run("lint", "--connect", "-f", "-", input=VERIFIED)

    assert result.exit_code == 1
    assert "✗ theirs topology: default/absent: " in result.stderr
    assert "✗ theirs topology: default/absent:dead-letters: " in result.stderr


def test_connect_says_what_may_not_be_done_with_the_channels_that_are_there(
    run, mesh: Path, monkeypatch: pytest.MonkeyPatch
):
    known: list[str] = []

    async def check(self: EmbeddedTransport) -> list[Check]:
        return [Check(name, Level.PERMISSION, ok=False, detail="may not be read") for name in known]

    async def ensure(self: EmbeddedTransport, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        known.append(channel.name)
        return []

    monkeypatch.setattr(EmbeddedTransport, "check", check)
    monkeypatch.setattr(EmbeddedTransport, "ensure", ensure)

    result = run("lint", "--connect", "-f", "-", input=VERIFIED)

    assert result.exit_code == 1
    assert "✗ theirs permission: default/absent: may not be read" in result.stderr


def test_connect_asks_the_others_when_a_plugin_cannot_be_used(
    run, mesh: Path, monkeypatch: pytest.MonkeyPatch
):
    told = """---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {name: second}
spec: {kind: embedded}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b2}
spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: second}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t2}
spec: {broker: b2, subscriber: {uri: "http://127.0.0.1:1/"}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b1}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: across}
spec: {broker: b1, subscriber: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b2}}}
"""

    def refuse(spec: TransportSpec, *rest: Any) -> Link:
        if spec.name == "second":
            raise PluginError("its library is not there")
        return make_link(spec, *rest)

    monkeypatch.setattr(connect, "make_link", refuse)

    result = run("lint", "--connect", "-f", "-", input=told)

    assert result.exit_code == 1
    assert "✗ second connect: plugin: its library is not there" in result.stderr
    assert "✓ embedded permission: state directory" in result.stderr


def test_connect_does_not_wait_for_ever(run, mesh: Path, monkeypatch: pytest.MonkeyPatch):
    async def check(self: EmbeddedTransport) -> list[Check]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(EmbeddedTransport, "check", check)
    monkeypatch.setattr("mesh_gateway.cli.connect.CONNECT_TIMEOUT", 0.01)

    result = run("lint", "--connect")

    assert result.exit_code == 1
    assert "none within" in result.stderr


def test_without_documents_the_way_out_is_named(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    result = run("lint")

    assert result.exit_code == 2
    assert "-f" in result.stderr
    assert "init" in result.stderr


def test_an_env_file_fills_in_variables_and_the_environment_wins(
    run, mesh: Path, monkeypatch: pytest.MonkeyPatch
):
    mesh.write_text(MESH.replace("${PORT:-8080}", "${PORT}"))
    env = mesh.parent / "mesh.env"
    env.write_text("# ports\nexport PORT='9000'\n\n")
    assert run("lint").exit_code == 78
    assert run("lint", "--env-file", str(env)).exit_code == 0

    monkeypatch.setenv("PORT", "not a port")

    assert run("lint", "--env-file", str(env)).exit_code == 78


def test_a_line_of_an_env_file_that_is_none_is_named(run, mesh: Path):
    env = mesh.parent / "mesh.env"
    env.write_text("A=1\nnonsense\n")

    result = run("lint", "--env-file", str(env))

    assert result.exit_code == 2
    assert "mesh.env:2" in result.stderr


def test_explain_names_the_clause_that_refuses(run, mesh: Path):
    result = run("explain", "--broker", "shop/orders", "--type", "order.created", "--source", "/us/web")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.stderr
    assert (
        lines[0] == "✓ shop/billing → http://billing:8080 (retry 3 linear, dead letters to http://dls:8080)"
    )
    assert lines[1].startswith("✗ shop/audit-eu  filters[0].all[1]")
    assert "/us/web" in lines[1]


def test_explain_takes_an_event_from_a_file_or_standard_input(run, mesh: Path):
    event = json.dumps({"type": "order.created", "source": "/eu/shop"})
    (mesh.parent / "event.json").write_text(event)

    from_file = run("explain", "event.json", "-o", "json")
    from_stdin = run("explain", "-", "-o", "json", input=event)

    verdicts = json.loads(from_file.stdout)["triggers"]
    assert {one["trigger"]: one["takes"] for one in verdicts} == {"shop/billing": True, "shop/audit-eu": True}
    assert json.loads(from_stdin.stdout)["triggers"] == verdicts


def test_explain_for_programs_says_why_not(run, mesh: Path):
    (billing, audit) = json.loads(run("explain", "--type", "order.deleted", "-o", "json").stdout)["triggers"]

    assert (billing["takes"], audit["takes"]) == (False, False)
    assert "order.deleted" in billing["why_not"]
    assert (billing["retry"], billing["dead_letters"]) == (3, "http://dls:8080")


def test_explain_for_several_brokers_names_each(run, mesh: Path):
    mesh.write_text(
        MESH
        + "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: returns, namespace: shop}\n"
    )

    shown = run("explain", "--type", "order.created").stdout

    assert "shop/orders:\n  ✓ shop/billing" in shown
    assert "broker shop/returns has no triggers" in shown
    assert shown.count("shop/billing") == 1


def test_explain_for_one_broker_is_silent_about_the_others(run, mesh: Path):
    other = MESH.partition("---\n")[2].replace("namespace: shop", "namespace: other")
    mesh.write_text(f"{MESH}---\n{other}")

    shown = run("explain", "--type", "order.created", "--broker", "other/orders").stdout

    assert "other/billing" in shown
    assert "shop/" not in shown


@pytest.mark.parametrize(
    "arguments",
    [(), ("event.json", "--type", "t"), ("-", "-f", "-"), ("--type", "t", "--broker", "shop/nope")],
)
def test_explain_that_is_asked_nothing_or_two_things_is_a_usage_error(
    run, mesh: Path, arguments: tuple[str, ...]
):
    assert run("explain", *arguments, input='{"type": "t", "source": "/s"}').exit_code == 2


def test_explain_with_wrong_documents_is_78_and_shows_the_faults(run, mesh: Path):
    mesh.write_text(TYPO)

    result = run("explain", "--type", "t")

    assert result.exit_code == 78
    assert "MG011" in result.stderr or "MG010" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("form", "start"), [("mermaid", "flowchart LR"), ("dot", "digraph mesh {"), ("json", "{")]
)
def test_graph_draws_the_mesh(run, mesh: Path, form: str, start: str):
    shown = run("graph", "-o", form).stdout

    assert shown.startswith(start)
    assert "http://billing:8080" in shown


def test_describe_shows_what_a_trigger_inherits(run, mesh: Path):
    told = json.loads(run("describe", "trigger", "shop/billing", "-o", "json").stdout)

    assert told["transport"] == "embedded"
    assert (told["retry"], told["backoff"]) == (3, "linear, 1 s, at most 1 h")
    assert told["dead_letters"] == "http://dls:8080"
    assert "retry             3\n" in run("describe", "trigger", "shop/billing").stdout


LIMITED = """
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {defaultTransport: topics}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Transport
metadata: {name: topics}
spec: {kind: kafka, options: {bootstrapServers: "kafka:9092", maxRecordBytes: 200000}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: orders}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: billing}
spec: {broker: orders, subscriber: {uri: "http://billing/"}, delivery: {retry: 9, backoffDelay: PT1S}}
"""


def test_describe_shows_how_each_need_of_a_trigger_is_met(run, mesh: Path):
    mesh.write_text(LIMITED)

    told = json.loads(run("describe", "trigger", "default/billing", "-o", "json").stdout)

    met = {one["of"]: (one["how"], one["says"]) for one in told["needs"]}
    assert met["read"] == ("native", "")
    assert met["retries"][0] == "emulated"
    assert "parked after 30 s" in met["retries"][1]
    assert met["size"][0] == "refused"
    assert "195904 bytes" in met["size"][1], "200,000, and room for its dead letter"
    assert "emulated  parked after 30 s" in run("describe", "trigger", "default/billing").stdout


def test_describe_of_an_absent_trigger_lists_those_there_are(run, mesh: Path):
    result = run("describe", "trigger", "billing")

    assert result.exit_code == 2
    assert "shop/billing, shop/audit-eu" in result.stderr


def test_describe_shows_a_transports_options_and_capabilities(run):
    told = json.loads(run("describe", "transport", "embedded", "-o", "json").stdout)

    option = next(one for one in told["options"] if one["option"] == "maxBytes")
    assert (option["type"], option["required"]) == ("integer", False)
    assert (told["capabilities"]["settle"], told["capabilities"]["delay"]) == ("individual", "any")
    assert told["capabilities"]["seek"] == ["position", "timestamp"]


def test_describe_of_an_unknown_transport_suggests(run):
    result = run("describe", "transport", "embeded")

    assert result.exit_code == 2
    assert "did you mean 'embedded'?" in result.stderr


@pytest.mark.parametrize(
    ("noun", "name"),
    [
        ("transports", "embedded"),
        ("filters", "cesql"),
        ("sinks", "https"),
        ("kinds", "eventing.knative.dev/v1 Broker"),
    ],
)
def test_list_names_what_there_is(run, noun: str, name: str):
    found = json.loads(run("list", noun, "-o", "json").stdout)

    assert name in [one["name"] for one in found]
    assert all(one["summary"] for one in found)
    assert {one["what"] for one in found} == {noun.removesuffix("s")}


def test_every_dialect_that_filters_know_is_listed(run):
    from mesh_gateway.filters.dialects import DIALECTS

    assert {one["name"] for one in json.loads(run("list", "filters", "-o", "json").stdout)} == set(DIALECTS)


def test_plugins_shows_what_is_built_in(run):
    (first, *_) = json.loads(run("plugins", "-o", "json").stdout)

    assert (first["name"], first["status"], first["transports"]) == ("built-in", "ok", ["embedded"])


def test_schema_is_json_schema(run):
    assert json.loads(run("schema").stdout)["$schema"].startswith("https://json-schema.org/")


def test_init_writes_documents_that_lint_clean_and_the_schema_they_name(run, tmp_path: Path):
    result = run("init", str(tmp_path / "new"))

    written = tmp_path / "new" / "mesh.yaml"
    assert result.exit_code == 0, result.stderr
    assert written.read_text().startswith("# yaml-language-server: $schema=./mesh.schema.json\n")
    assert json.loads((tmp_path / "new" / "mesh.schema.json").read_text())["$schema"]
    linted = run("lint", "--strict", "-f", str(written))
    assert (linted.exit_code, linted.stdout) == (0, "")
    assert [one["kind"] for one in yaml.safe_load_all(written.read_text())] == [
        "Gateway",
        "Broker",
        "Trigger",
    ]


def test_init_does_not_overwrite_unless_forced(run, mesh: Path):
    refused = run("init")

    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert mesh.read_text() == MESH
    assert run("init", "--force").exit_code == 0
    assert mesh.read_text() != MESH


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[GatewaySpec]:
    """What `run` and `dev` would serve; serving ends at once with exit code 5."""
    from mesh_gateway.gateway import run as process
    from mesh_gateway.gateway.documents import Documents

    specs: list[GatewaySpec] = []

    def serve(documents: Documents, plugins: object, **more: object) -> int:
        specs.append(documents.spec)
        return 5

    monkeypatch.setattr(process, "serve", serve)
    return specs


def test_run_serves_the_documents_and_ends_with_the_gateways_code(run, mesh: Path, served: list[GatewaySpec]):
    result = run("run", "-f", str(mesh))

    assert result.exit_code == 5, result.stderr
    assert (served[0].name, served[0].ingress.port) == ("edge", 8080)


def test_options_of_run_win_over_the_documents(run, mesh: Path, served: list[GatewaySpec]):
    run("run", "--ingress", "0.0.0.0:1", "--admin", "[::1]:2", "--state", "elsewhere")

    spec = served[0]
    assert (spec.ingress.host, spec.ingress.port) == ("0.0.0.0", 1)
    assert (spec.admin.host, spec.admin.port) == ("::1", 2)
    assert spec.state_directory == Path("elsewhere")


def test_wrong_documents_are_not_served(run, mesh: Path, served: list[GatewaySpec]):
    mesh.write_text(TYPO)

    result = run("run")

    assert result.exit_code == 78
    assert "MG011" in result.stderr
    assert not served


def test_warnings_are_told_and_do_not_stop_run(run, mesh: Path, served: list[GatewaySpec]):
    mesh.write_text(MESH + "---\napiVersion: flows.knative.dev/v1\nkind: Sequence\nmetadata: {name: s}\n")

    result = run("run")

    assert "MG201" in result.stderr
    assert len(served) == 1


def test_an_admin_listener_open_to_others_needs_a_token(run, mesh: Path, served: list[GatewaySpec]):
    result = run("run", "--admin", "0.0.0.0:8081")

    assert result.exit_code == 78
    assert "token" in result.stderr
    assert not served


@pytest.mark.parametrize("address", ["8080", ":8080", "::1:8080", "a:b", "a:70000"])
def test_what_is_no_address_is_a_usage_error(run, mesh: Path, address: str, served: list[GatewaySpec]):
    assert run("run", "--ingress", address).exit_code == 2
    assert not served


def test_dev_needs_no_file_and_keeps_nothing(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: list[GatewaySpec]
):
    monkeypatch.chdir(tmp_path)

    run("dev")

    assert (list(served[0].brokers), list(served[0].triggers)) == (["default/default"], ["default/display"])
    assert served[0].state_directory is None


def test_dev_with_documents_shows_what_every_broker_gets(run, mesh: Path, served: list[GatewaySpec]):
    run("dev", "-f", str(mesh), "--state", "kept")

    assert {"shop/billing", "shop/audit-eu"} < set(served[0].triggers)
    assert len(served[0].triggers) == 3
    assert served[0].state_directory == Path("kept")


# ── several gateways ─────────────────────────────────────────────────────────────────────────


def gateway_with_relay(name: str, other: str, filters: str = "[]") -> str:
    """Gateway `name` with Broker shop/orders, and a Relay of it to that of `other`."""
    return f"""\
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {{name: edge}}
spec:
  cluster: {name}
  ingress: {{url: "https://{name}.example"}}
  peers: [{{cluster: {other}, bearer: {{valueFrom: {{env: TOKEN}}}}}}]
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: orders, namespace: shop}}
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {{name: to-{other}, namespace: shop}}
spec:
  from: orders
  to: {{uri: "https://{other}.example/shop/orders"}}
  auth: {{bearer: {{valueFrom: {{env: TOKEN}}}}}}
  filters: {filters}
"""


@pytest.fixture
def two_gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The directories of two gateways that relay to each other."""
    monkeypatch.setenv("TOKEN", "t0ken")
    for name, other in (("eu", "us"), ("us", "eu")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mesh.yaml").write_text(gateway_with_relay(name, other))
    return tmp_path / "eu", tmp_path / "us"


def test_two_gateways_are_linted_together(run, two_gateways: tuple[Path, Path]):
    eu, us = two_gateways

    result = run("lint", "-f", str(eu), "-f", str(us))

    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert (
        "eu/shop/orders → relay shop/to-us → us/shop/orders → relay shop/to-eu → eu/shop/orders"
        in result.stdout
    )
    assert "ok: 2 gateways, 2 broker(s), 0 trigger(s), 2 relay(s), 1 notice" in result.stderr


def test_an_error_in_one_gateway_is_shown_with_the_faults_of_the_other(run, two_gateways: tuple[Path, Path]):
    eu, us = two_gateways
    (us / "mesh.yaml").write_text(gateway_with_relay("eu", "us"))

    result = run("lint", "-f", str(eu), "-f", str(us), "-o", "json")

    assert result.exit_code == 78
    faults = json.loads(result.stdout)
    assert [fault["code"] for fault in faults if fault["severity"] == "error"] == ["MG048"]


def test_several_files_of_one_gateway_are_still_one(run, mesh: Path):
    gateway, *rest = MESH.split("---\n")
    (mesh.parent / "gateway.yaml").write_text(gateway)
    (mesh.parent / "rest.yaml").write_text("---\n".join(rest))

    result = run("lint", "-f", "gateway.yaml", "-f", "rest.yaml")

    assert result.exit_code == 0
    assert "ok: 1 broker(s), 2 trigger(s)" in result.stderr


def test_all_transports_of_all_gateways_are_asked(run, two_gateways: tuple[Path, Path]):
    eu, us = two_gateways

    result = run("lint", "-f", str(eu), "-f", str(us), "--connect")

    assert result.exit_code == 0
    assert result.stderr.count("✓ embedded permission") == 2


def test_a_relay_is_described_with_its_defaults_and_its_credential_by_name(
    run, two_gateways: tuple[Path, Path]
):
    mesh = str(two_gateways[0])

    told = json.loads(run("describe", "relay", "shop/to-us", "-f", mesh, "-o", "json").stdout)

    assert (told["to"], told["credentials"], told["retry"]) == (
        "https://us.example/shop/orders",
        "bearer",
        10,
    )
    assert told["backoff"] == "exponential, 200 ms, at most 1 min"
    assert {"read", "size"} <= {need["of"] for need in told["needs"]}
    shown = run("describe", "relay", "shop/to-us", "-f", mesh).stdout
    assert "a group of its own, start: latest" in shown
    assert "t0ken" not in shown


def test_describe_of_an_absent_relay_lists_those_there_are(run, two_gateways: tuple[Path, Path]):
    result = run("describe", "relay", "shop/to-eu", "-f", str(two_gateways[0]))

    assert result.exit_code == 2
    assert "no relay shop/to-eu in the documents; there are: shop/to-us" in result.stderr


def test_relays_are_listed(run, two_gateways: tuple[Path, Path]):
    assert json.loads(run("list", "relays", "-f", str(two_gateways[0]), "-o", "json").stdout) == [
        {
            "relay": "shop/to-us",
            "broker": "shop/orders",
            "filter": "everything",
            "to": "https://us.example/shop/orders",
            "credentials": "bearer",
        }
    ]
    assert run("list", "relays").exit_code == 2


def test_the_way_of_a_relay_is_drawn(run, two_gateways: tuple[Path, Path]):
    assert "==>" in run("graph", "-f", str(two_gateways[0])).stdout
