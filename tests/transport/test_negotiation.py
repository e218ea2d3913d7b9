"""What a trigger needs, held against what a transport declares."""

from __future__ import annotations

from mesh_gateway.transport.builtin import EMBEDDED
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.negotiation import Needs, declared, negotiate
from mesh_gateway.transport.plugins import import_string

ALL = Capabilities(
    ordering="key",
    groups=True,
    seek=frozenset({"position", "timestamp"}),
    browse=True,
    measure=True,
    delay=1.0,
)


def how(needs: Needs, can: Capabilities) -> dict[str, str]:
    return {finding.need.partition(" ")[0].rstrip(":,"): finding.how for finding in negotiate(needs, can)}


def test_a_transport_that_can_everything_meets_every_need_natively():
    needs = Needs(ordered=True, dedicated=True, start="position", longest_wait=3600)

    assert set(how(needs, ALL).values()) == {"native"}


def test_what_a_transport_lacks_is_refused_with_a_way_out():
    needs = Needs(ordered=True, dedicated=True)
    findings = negotiate(needs, Capabilities(groups=False))

    refused = {finding.need: finding.says for finding in findings if finding.how == "refused"}
    assert "order per key" in refused
    assert "leave it at read: shared" in refused["read: dedicated, start: latest"]
    assert all(refused.values()), "every refusal names a way out"


def test_a_retry_that_waits_too_long_is_parked_and_the_price_is_said():
    watermark = Capabilities(settle="watermark")
    assert how(Needs(longest_wait=30), watermark)["retries"] == "native"
    [waiting] = [f for f in negotiate(Needs(longest_wait=31), watermark) if f.need.startswith("retries")]
    assert (waiting.how, "parked after 30 s" in waiting.says) == ("emulated", True)
    assert how(Needs(longest_wait=1300), Capabilities(lease=1200.0))["retries"] == "emulated"


def test_a_start_that_a_transport_cannot_seek_is_refused():
    assert how(Needs(dedicated=True, start="timestamp"), Capabilities())["read"] == "refused"
    assert how(Needs(dedicated=True, start="earliest"), Capabilities())["read"] == "emulated"


def test_capabilities_are_read_off_an_object_and_a_plugin_that_cannot_be_made_has_none():
    assert declared(EMBEDDED, {}, import_string) is not None
    assert declared(EMBEDDED, {"retention": "nonsense"}, import_string) is None
    assert declared(TransportKind("x", "no.such:Thing", "no.such:Options"), {}, import_string) is None


def test_an_event_above_the_transports_limit_is_refused_and_the_limit_is_said():
    small = Capabilities(max_event_bytes=262_144)

    [size] = [finding for finding in negotiate(Needs(event_bytes=1_048_576), small) if finding.of == "size"]
    assert (size.how, "262144 bytes" in size.says) == ("refused", True)
    assert how(Needs(event_bytes=1_048_576), Capabilities())["events"] == "native"


def test_a_dropped_duplicate_is_told_only_where_a_transport_drops_it():
    assert [
        finding.says for finding in negotiate(Needs(), Capabilities(dedup=300)) if finding.of == "duplicates"
    ] == ["within 300 s"]
    assert [finding for finding in negotiate(Needs(), Capabilities()) if finding.of == "duplicates"] == []


def test_a_relay_has_a_group_of_its_own_or_its_events_copied_and_is_never_refused():
    [native] = [f for f in negotiate(Needs(relay=True), ALL) if f.of == "read"]
    [copied] = [f for f in negotiate(Needs(relay=True), Capabilities(groups=False)) if f.of == "read"]

    assert (native.need, native.how) == ("a group of its own, start: latest", "native")
    assert copied.how == "emulated"
    assert "one more write for each event" in copied.says


def test_what_a_relay_is_to_begin_with_must_be_there():
    without = Capabilities(groups=False)

    assert how(Needs(relay=True, start="position"), without)["a"] == "refused"
    assert how(Needs(relay=True, start="timestamp"), Capabilities())["a"] == "refused"
    [early] = [f for f in negotiate(Needs(relay=True, start="earliest"), without) if f.of == "read"]
    assert (early.how, "nothing from before" in early.says) == ("emulated", True)
