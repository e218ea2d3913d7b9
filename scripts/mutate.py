#!/usr/bin/env python3
"""Break one thing of a module after the other and see which of its tests notice: `scripts/mutate.py [NAME …] [--most N]`.

Each mutant is one change of one expression: a comparison, a number, an operator, a condition, a return, a call that is
left out. It is written over the module in a copy of the tree, so nothing here is touched; survivors are printed with
their lines. For whoever changes these modules; no part of `make test`, and nothing of it is shipped.
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

DELIVERY, PROPERTIES = "tests/delivery", "tests/properties"
TARGETS = {
    "ledger": ("mesh_gateway/transport/ledger.py", ["tests/transport/test_ledger.py", f"{PROPERTIES}/test_settling.py"]),
    "policy": ("mesh_gateway/delivery/policy.py", [f"{DELIVERY}/test_policy.py", f"{PROPERTIES}/test_retrying.py"]),
    "schedule": ("mesh_gateway/delivery/schedule.py", [f"{DELIVERY}/test_schedule.py", f"{PROPERTIES}/test_retrying.py"]),
    "waiting": ("mesh_gateway/delivery/waiting.py", [f"{DELIVERY}/test_waiting.py", f"{DELIVERY}/test_clock_jumps.py"]),
    "lanes": ("mesh_gateway/delivery/lanes.py", [f"{DELIVERY}/test_trigger.py"]),
    "insist": ("mesh_gateway/delivery/insist.py", [f"{DELIVERY}/test_trigger.py", f"{PROPERTIES}/test_triggering.py"]),
    "watermark": (
        "plugins/kafka/mesh_gateway_kafka/watermark.py",
        ["plugins/kafka/tests/test_watermark.py", "plugins/kafka/tests/test_rebalancing.py"],
    ),
    "seen": ("mesh_gateway/federation/seen.py", [f"{PROPERTIES}/test_deduplication.py"]),
    "window": ("mesh_gateway/federation/window.py", [f"{PROPERTIES}/test_deduplication.py"]),
    "rate": ("mesh_gateway/federation/rate.py", [f"{PROPERTIES}/test_deduplication.py"]),
}  # fmt: skip
"""By name, a module and the tests that are to notice."""

NO_SEEDS = "not is_found and not are_found"
"""Tests that break the module themselves say nothing of one that is broken already."""

PATIENCE = 5
"""Times what its tests take without a change: a mutant that hangs is noticed, too."""

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Pow: ast.Mult}


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what was changed, and the source with that change."""
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        for what, change in changes(node):
            other = copy.deepcopy(tree)
            change(list(ast.walk(other))[index])
            yield getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(other))


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What may be changed of this node: in words, and by a function of its copy."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        new = COMPARISONS[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} → {new.__name__}", lambda n: n.ops.__setitem__(0, new())
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        op = OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} → {op.__name__}", lambda n: setattr(n, "op", op())
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value} → {node.value + 1}", lambda n: setattr(n, "value", n.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} → {not node.value}", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.BoolOp):
        new_op = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"and ↔ or ({new_op.__name__})", lambda n: setattr(n, "op", new_op())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield (
            "not left out",
            lambda n: setattr(n, "op", ast.UAdd()) or setattr(n, "operand", as_number(n.operand)),
        )
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition → False", lambda n: setattr(n, "test", ast.Constant(value=False))
        if not isinstance(node, ast.While):
            yield "condition → True", lambda n: setattr(n, "test", ast.Constant(value=True))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield "call left out", lambda n: setattr(n, "value", ast.Constant(value=None))
    elif isinstance(node, ast.Name) and node.id in ("min", "max"):
        yield f"{node.id} ↔ other", lambda n: setattr(n, "id", "max" if n.id == "min" else "min")


def as_number(node: ast.expr) -> ast.expr:
    return ast.Call(func=ast.Name(id="bool", ctx=ast.Load()), args=[node], keywords=[])


def noticed(tree: Path, tests: list[str], seconds: float | None = None) -> bool:
    """Whether these tests fail in this copy, or take longer."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", NO_SEEDS, *tests]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{tree}:{tree / 'plugins/kafka'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}; all unless named")
    parser.add_argument("--most", type=int, default=10**6, help="mutants of each module, chosen at random")
    asked = parser.parse_args()
    killed = tried = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", ".hypothesis", "*cache*"))
        for name in asked.names or TARGETS:
            path, tests = TARGETS[name]
            source = (ROOT / path).read_text()
            begun = time.monotonic()
            if noticed(tree, tests):
                print(f"{name}: its tests fail without any change")
                return 1
            seconds = PATIENCE * (time.monotonic() - begun)
            found = list(mutants(source))
            survivors = []
            for line, what, changed in (
                chosen := random.Random(1).sample(found, min(asked.most, len(found)))
            ):
                (tree / path).write_text(changed)
                if not noticed(tree, tests, seconds):
                    survivors.append(f"  {path}:{line}: {what}")
            (tree / path).write_text(source)
            print(
                f"{name}: {len(chosen) - len(survivors)} of {len(chosen)} noticed",
                *survivors,
                sep="\n",
                flush=True,
            )
            killed, tried = killed + len(chosen) - len(survivors), tried + len(chosen)
    print(f"all: {killed} of {tried}, {100 * killed / max(1, tried):.0f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
