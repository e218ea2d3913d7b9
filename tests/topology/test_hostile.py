"""Two thousand documents with hostile values in good places: faults with places, no exception, no work without bound."""

from __future__ import annotations

import random
import re

import pytest

from mesh_gateway.topology.nodes import MAX_NODES
from tests.properties.test_topology_load import MANIFESTS, check, read

DOCUMENTS = 2_000
SEEDS = range(10)

BOMB = "[&a [x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b], &d [*c,*c,*c,*c,*c,*c,*c,*c,*c], [*d,*d,*d,*d,*d,*d,*d,*d,*d]]"
VALUES = (
    ".nan", ".inf", "-.inf", "1e999", "-1", "0", "9" * 40, "9" * 10_000, "0x" + "f" * 5_000, "0o" + "7" * 5_000, "1_000", "~", "''", "true", "[]", "{}",
    "'\\ud800'", '"\\ud800"', '"\\0"', '"\\x1b[2J"', "'" + "x" * 100_000 + "'", "[" * 2_000, "{a: " * 2_000, "[" * 31 + "]" * 31, BOMB, "&a [*a]", "*nothing",
    "!!python/object/apply:os.system ['true']", "!!binary x", "!x y", "!!set {a}", "!!timestamp 2026-01-01", "<<", "{<<: [1, 2]}", "{? [a, b] : c}",
    "PT" + "9" * 500 + "S", "P1Y", "PT1e9S", "'PT0.0000000000000001S'", "${MISSING}", "${SET}", "${SET:-" + "x" * 1_000 + "}", "$" * 1_000, "../" * 100,
    "/etc/passwd", "a" * 300, "'; DROP TABLE events; --", "\u0430bc", "\u202eabc", "%00", "http://169.254.169.254/", "http://[::ffff:a9fe:a9fe]/",
    "'" + "%a" * 2_000 + "'", "\"type LIKE '%a%a%a%a%a%a%a%b'\"", "'" + "(" * 10_000 + "'",
)  # fmt: skip


def hostile(chance: random.Random) -> str:
    """A good manifest, some of whose values are not."""
    text = chance.choice(MANIFESTS)
    for _ in range(chance.randint(1, 3)):
        places = list(re.finditer(r"(?<=: )[^\n{\[|>&]+", text))
        if places:
            place = chance.choice(places)
            text = text[: place.start()] + chance.choice(VALUES) + text[place.end() :]
    if chance.random() < 0.1:
        text += chance.choice(
            (
                "\n---\n" * 5_000,
                "\n? " * 3_000,
                "\n- " * 3_000,
                "\0",
                "\ud800",
                "\n%YAML 9.9\n---\n",
                "\n...\n" * 100,
            )
        )
    return text


@pytest.mark.parametrize("seed", SEEDS)
def test_no_document_ends_in_an_exception(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(DOCUMENTS // len(SEEDS)):
        check(read(hostile(chance)))


@pytest.mark.parametrize("aliases", range(6, 12))
def test_an_alias_bomb_is_refused_before_it_is_walked(aliases: int) -> None:
    """Each level nine times the one before: the twelfth would be 282 thousand million nodes, and their number is what stops it."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, aliases)]
    found = read("\n".join(levels))

    assert 9**aliases > MAX_NODES
    assert [fault.code for fault in found.faults] == ["MG006"]
