"""Rings of relays, in one gateway and over several."""

from __future__ import annotations

from mesh_gateway.topology.faults import Fault
from mesh_gateway.topology.load import Loaded, Source, load_each
from tests.topology.harness import BROKER, KINDS, codes, gateway, loaded, relay, to_billing, trigger
from tests.topology.test_lint import brokers, link

ENVIRONMENT = {"T": "t0ken"}
AUTH = "auth: {bearer: {valueFrom: {env: T}}}"


def hop(source: str, to: str, filters: str = "[]", name: str = "", auth: str = "") -> str:
    """A relay; `to` is the name of a broker, or a URL."""
    target = f"uri: '{to}'" if "/" in to else f"ref: {{kind: Broker, name: {to}}}"
    auth = auth or (AUTH if "/" in to else "")
    document = relay(f"to: {{{target}}}, filters: {filters}{', ' + auth if auth else ''}", name or f"to-{to}")
    return document.replace("from: orders", f"from: {source}")


def together(**gateways: str) -> list[Loaded]:
    """Each as one `-f`: `eu` is the file eu.yaml."""
    sources = [[Source(f"{name}.yaml", text)] for name, text in gateways.items()]
    return load_each(sources, environment=ENVIRONMENT, kinds=KINDS)


def found(*several: Loaded, code: str = "MG047") -> list[Fault]:
    return [fault for one in several for fault in one.faults if fault.code == code]


def mesh(cluster: str, *documents: str, ingress: str = "") -> str:
    ingress = ingress or f"listen: '0.0.0.0:8080', url: 'https://{cluster}.example'"
    return "\n---\n".join([gateway(f"cluster: {cluster}, ingress: {{{ingress}}}"), BROKER, *documents])


def to(cluster: str, filters: str = "[]", auth: str = AUTH) -> str:
    url = f"https://{cluster}.example/default/orders"
    return relay(f"to: {{uri: '{url}'}}, filters: {filters}{', ' + auth if auth else ''}", f"to-{cluster}")


def test_a_ring_of_relays_is_a_notice_with_its_way():
    (fault,) = loaded(*brokers("a", "b"), hop("a", "b"), hop("b", "a")).faults

    assert (fault.code, fault.severity, fault.path) == ("MG047", "notice", "spec.to")
    assert fault.message.endswith(
        "recognised: default/b → relay default/to-a → default/a → relay default/to-b → default/b"
    )


def test_relays_and_triggers_make_a_ring_together():
    (fault,) = loaded(*brokers("a", "b"), link("a", "b"), hop("b", "a")).faults

    assert fault.message.endswith(
        "default/b → relay default/to-a → default/a → trigger default/a-b → default/b"
    )


def test_a_relay_without_credential_makes_it_a_warning():
    nobody = loaded(
        *brokers("a", "b"),
        hop("a", "http://127.0.0.1:8080/default/b", name="out", auth="auth: {}"),
        hop("b", "a"),
    )

    assert codes(nobody) == ["MG046", "MG047"]
    assert (nobody.faults[1].severity, nobody.faults[1].path) == ("warning", "spec.to")
    assert nobody.faults[1].message.startswith("relay default/out has no credential, so nobody recognises")


def test_so_does_a_trigger_that_posts_to_a_broker():
    posts = trigger("subscriber: {uri: 'http://localhost:8080/default/b'}", "posts").replace(
        "broker: orders", "broker: a"
    )

    (fault,) = loaded(*brokers("a", "b"), posts, hop("b", "a")).faults

    assert (fault.code, fault.severity) == ("MG047", "warning")
    assert fault.message.startswith("trigger default/posts has no credential")


def test_triggers_alone_are_what_they_were():
    posts = trigger("subscriber: {uri: 'http://127.0.0.1:8080/default/b'}", "posts").replace(
        "broker: orders", "broker: a"
    )

    assert codes(loaded(*brokers("a", "b"), posts, link("b", "a"))) == ["MG040"]


def test_three_filters_that_agree_two_by_two_make_no_ring():
    def some(*types: str) -> str:
        return "[{any: [" + ", ".join(f"{{exact: {{type: {one}}}}}" for one in types) + "]}]"

    ring = [hop("a", "b", some("x", "y")), hop("b", "c", some("y", "z"))]

    assert loaded(*brokers("a", "b", "c"), *ring, hop("c", "a", some("z", "x"))).faults == ()
    assert codes(loaded(*brokers("a", "b", "c"), *ring, hop("c", "a", some("z", "y")))) == ["MG047"]


def test_what_changes_on_the_way_excludes_nothing():
    here = "[{cesql: NOT EXISTS meshhops}]"
    there = "[{cesql: EXISTS meshhops}]"

    assert codes(loaded(*brokers("a", "b"), hop("a", "b", here), hop("b", "a", there))) == ["MG047"]


def test_dead_letters_of_a_relay_can_close_a_ring():
    letters = hop("a", "https://elsewhere.example/").replace(
        "filters: []", "delivery: {deadLetterSink: {ref: {kind: Broker, name: b}}}"
    )

    (fault,) = loaded(
        *brokers("a", "b"), letters.replace("to-https://elsewhere.example/", "away"), hop("b", "a"),
        environment=ENVIRONMENT,
    ).faults  # fmt: skip

    assert "relay default/away (dead letters)" in fault.message


def test_a_relay_into_its_own_broker_is_one_fault():
    assert codes(loaded(*brokers("a"), hop("a", "a"))) == ["MG042"]


def test_a_ring_over_two_gateways_is_named_with_their_clusters():
    eu, us = together(eu=mesh("eu", to("us")), us=mesh("us", to("eu")))

    (fault,) = found(eu, us)
    assert (fault.file, fault.severity) == ("eu.yaml", "notice")
    assert fault.message.endswith(
        "eu/default/orders → relay default/to-us → us/default/orders → relay default/to-eu → eu/default/orders"
    )
    assert eu.spec is not None
    assert us.spec is not None


def test_a_gateway_by_itself_knows_nothing_of_the_other():
    (one,) = together(eu=mesh("eu", to("us")))

    assert one.faults == ()


def test_filters_that_exclude_each_other_keep_two_gateways_quiet():
    own = "[{{prefix: {{source: /{}/}}}}]"

    assert (
        together(eu=mesh("eu", to("us", own.format("eu"))), us=mesh("us", to("eu", own.format("us"))))[
            0
        ].faults
        == ()
    )


def test_without_credential_on_one_side_the_other_file_is_not_blamed():
    eu, us = together(eu=mesh("eu", to("us")), us=mesh("us", to("eu", auth="")))

    assert codes(eu) == []
    assert codes(us) == ["MG046", "MG047"]
    assert us.faults[1].message.partition(": ")[2].startswith("us/default/orders → relay default/to-eu → ")


def test_a_full_mesh_of_three_has_five_rings():
    names = ["eu", "us", "ap"]
    all_of_them = together(
        **{one: mesh(one, *(to(other) for other in names if other != one)) for one in names}
    )

    assert len(found(*all_of_them)) == 5


def test_a_ring_inside_of_one_gateway_is_said_once():
    inside = [*brokers("audit"), hop("orders", "audit"), hop("audit", "orders")]

    eu, us = together(eu=mesh("eu", *inside), us=mesh("us", to("eu")))

    assert len(found(eu, us)) == 1


def test_where_a_gateway_listens_is_enough_to_know_it():
    def at(port: int) -> str:
        return f"listen: '127.0.0.1:{port}'"

    def relays(port: int) -> str:
        return hop("orders", f"http://localhost:{port}/default/orders", name="over")

    eu, us = together(
        eu=mesh("eu", relays(9001), ingress=at(9000)), us=mesh("us", relays(9000), ingress=at(9001))
    )

    assert len(found(eu, us)) == 1


def test_equal_names_in_two_gateways_are_no_fault_but_one_name_for_both_is():
    eu, us = together(eu=mesh("eu"), us=mesh("us"))
    same, other = together(eu=mesh("eu"), us=mesh("eu"))

    assert (eu.faults, us.faults, same.faults) == ((), (), ())
    (fault,) = other.faults
    assert (fault.code, fault.severity, fault.path) == ("MG048", "error", "spec.cluster")
    assert "eu.yaml:4:18" in fault.message
    assert other.spec is None


def test_files_with_one_gateway_between_them_are_one_gateway():
    (whole,) = together(gateway=gateway("cluster: eu"), brokers=BROKER, triggers=trigger(to_billing()))

    assert whole.spec is not None
    assert whole.faults == ()
    assert list(whole.spec.triggers) == ["default/billing"]


def test_a_file_that_is_named_twice_is_read_once():
    text = mesh("eu", trigger(to_billing()))

    (whole,) = load_each(
        [[Source("mesh/a.yaml", text)], [Source("./mesh/a.yaml", text)]], environment={}, kinds=KINDS
    )

    assert whole.faults == ()


def test_faults_of_one_gateway_do_not_hide_rings_with_it():
    eu, us = together(eu=mesh("eu", to("us"), trigger("nonsense: 1")), us=mesh("us", to("eu")))

    assert eu.spec is None
    assert len(found(eu, us)) == 1


def test_more_rings_than_anybody_looks_at_are_told_so():
    names = [f"b{i}" for i in range(9)]
    links = [hop(one, other, name=f"{one}-{other}") for one in names for other in names if one != other]

    said = loaded(*brokers(*names), *links).faults

    assert any("more rings" in fault.message for fault in said)
    assert sum(fault.message.count(" → ") == 4 for fault in said) == 36  # every pair, before anything longer
