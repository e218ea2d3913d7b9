"""The verbs of `scripts/services`."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
from collections.abc import Sequence

from servers import containers, kafka, node, rabbitmq, redis, sqs, tools
from servers.home import ServiceError, home
from servers.node import Node

KINDS = ("kafka", "rabbitmq", "sqs", "redis")
ABOUT = """Real servers for tests and demos. Everything listens on 127.0.0.1 only.

  scripts/services up                          all of them, one node each; what runs already stays
  scripts/services up kafka --nodes 3          a cluster beside it
  eval "$(scripts/services env)"               MESH_TEST_KAFKA, MESH_TEST_RABBITMQ, MESH_TEST_SQS, …
  scripts/services kill rabbitmq               SIGKILL, for failover tests; `start` brings it back
  scripts/services tools                       strace and libfaketime, for fault tests; `up` fetches them, too
                                               (`env --tools` tells of these only)
  scripts/services pause kafka                 SIGSTOP: it answers nobody; `unpause` lets it go on
  scripts/services down [--purge]              stop what this script started; --purge forgets its data

MESH_SERVICES_HOME      where data and logs lie           (~/.cache/mesh-services)
MESH_SERVICES_PROGRAMS  where fetched programs lie        (~/.cache/mesh-services/programs)
MESH_PORT_OFFSET        added to every port; with a home of its own, a second set runs beside the first
MESH_SERVICES           `native` or `containers`; else containers where a Docker engine answers
"""


def main(words: Sequence[str]) -> int:
    """Do what the command line says; its exit code."""
    asked = _parser().parse_args(words)
    try:
        if containers.engine_answers():
            return _in_containers(asked)
        with (home() / "lock").open("w") as lock:
            if asked.verb in ("up", "down", "start", "stop", "kill", "pause", "unpause"):
                fcntl.flock(lock, fcntl.LOCK_EX)
            return int(VERBS[asked.verb](asked) or 0)
    except ServiceError as error:
        print(f"services: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "services", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="start servers and wait until they answer")
    down = verbs.add_parser("down", help="stop what was started")
    for verb in (up, down):
        verb.add_argument("kinds", nargs="*", metavar="kafka|rabbitmq|sqs|redis", help="all unless named")
    up.add_argument(
        "--nodes", type=int, choices=(1, 3), default=1, help="3: a cluster beside the single node"
    )
    up.add_argument("--fresh", action="store_true", help="forget the data of these servers first")
    down.add_argument("--purge", action="store_true", help="forget their data, too")
    verbs.add_parser("status", help="what runs")
    verbs.add_parser("tools", help="fetch strace and libfaketime")
    env = verbs.add_parser("env", help="print what tests have to know, for `eval`")
    env.add_argument("--tools", action="store_true", help="of strace and libfaketime only, not of servers")
    for name, help in (
        ("logs", "print a node's log"),
        ("stop", "SIGTERM"),
        ("kill", "SIGKILL"),
        ("start", "again"),
        ("pause", "SIGSTOP"),
        ("unpause", "SIGCONT"),
    ):
        verbs.add_parser(name, help=help).add_argument("node")
    control = verbs.add_parser("rabbitmqctl", help="run rabbitmqctl against a node")
    control.add_argument("node")
    control.add_argument("words", nargs=argparse.REMAINDER)
    return parser


def _up(asked: argparse.Namespace) -> None:
    started: list[Node] = []
    for kind in _kinds(asked.kinds):
        names = _names(kind, asked.nodes)
        if asked.fresh:
            node.stop(names)
            for name in names:
                shutil.rmtree(node.data(name), ignore_errors=True)
        if all(node.running(name) for name in names):
            continue
        _prepare(kind, asked.nodes)
        for one in _nodes(kind, asked.nodes):
            node.start(one)
            started.append(one)
    for one in started:
        node.wait_until_ready(one)
        print(f"{one.name}: up", file=sys.stderr)
    if not asked.kinds:
        _tools(asked)


def _tools(asked: argparse.Namespace) -> None:
    """Have them if they can be had: servers are of use without them."""
    try:
        tools.fetch()
    except ServiceError as error:
        print(f"services: no tools for fault tests: {error}", file=sys.stderr)


def _down(asked: argparse.Namespace) -> None:
    for kind in _kinds(asked.kinds):
        names = [name for count in (1, 3) for name in _names(kind, count)]
        node.stop(names, 8 if kind == "kafka" else node.STOP_SECONDS)
        if asked.purge:
            for name in names:
                shutil.rmtree(node.data(name), ignore_errors=True)
    rabbitmq.stop_mapper_if_alone()


def _status(asked: argparse.Namespace) -> None:
    for kind in KINDS:
        for count in (1, 3):
            for name in _names(kind, count):
                pid = node.running(name)
                if pid is not None or count == 1:
                    print(f"{name:12} {'up, pid ' + str(pid) if pid else 'down'}")


def _env(asked: argparse.Namespace) -> None:
    found = tools.environment() if asked.tools else environment()
    for name, value in sorted(found.items()):
        print(f"export {name}={value}")


def environment() -> dict[str, str]:
    """What tests have to know of the servers that run."""
    found: dict[str, str] = tools.environment()
    for kind in KINDS:
        for count in (1, 3):
            names = _names(kind, count)
            if names and all(node.running(name) for name in names):
                found |= _environment(kind, count)
    return found


def _start(asked: argparse.Namespace) -> None:
    one = _node(asked.node)
    if one.name.startswith("rabbitmq"):
        rabbitmq.prepare(3 if "3-" in one.name else 1)
    node.start(one)
    node.wait_until_ready(one)


def _stop(asked: argparse.Namespace) -> None:
    node.stop([_node(asked.node).name])


def _kill(asked: argparse.Namespace) -> None:
    node.kill(_node(asked.node).name)


def _pause(asked: argparse.Namespace) -> None:
    node.pause(_node(asked.node).name)


def _unpause(asked: argparse.Namespace) -> None:
    node.unpause(_node(asked.node).name)


def _logs(asked: argparse.Namespace) -> None:
    print(node.tail(_node(asked.node).name, 1000))


def _rabbitmqctl(asked: argparse.Namespace) -> int:
    return rabbitmq.rabbitmqctl(_node(asked.node).name, asked.words)


VERBS = {
    "up": _up, "down": _down, "status": _status, "env": _env, "logs": _logs, "stop": _stop, "kill": _kill,
    "start": _start, "pause": _pause, "unpause": _unpause, "rabbitmqctl": _rabbitmqctl, "tools": _tools,
}  # fmt: skip


def _in_containers(asked: argparse.Namespace) -> int:
    if asked.verb == "tools":
        _tools(asked)
    elif asked.verb == "env":
        servers = {} if asked.tools else containers.environment()
        for name, value in sorted((servers | tools.environment()).items()):
            print(f"export {name}={value}")
    elif asked.verb == "up":
        if asked.nodes == 3:
            raise ServiceError("clusters run natively only; set MESH_SERVICES=native")
        if asked.fresh:
            containers.compose("rm", "-sfv", *_kinds(asked.kinds))
        containers.compose("up", "-d", "--wait", *_kinds(asked.kinds))
        if not asked.kinds:
            _tools(asked)
    elif asked.verb == "down":
        words = ("rm", "-sfv") if asked.purge else ("stop",)
        containers.compose(*words, *_kinds(asked.kinds))
    elif asked.verb == "rabbitmqctl":
        print(containers.compose("exec", "-T", asked.node, "rabbitmqctl", *asked.words))
    elif asked.verb == "status":
        print(containers.compose("ps"))
    else:
        print(containers.compose(asked.verb, asked.node))
    return 0


def _kinds(named: Sequence[str]) -> Sequence[str]:
    wrong = [name for name in named if name not in (*KINDS, "all")]
    if wrong:
        raise ServiceError(f"there is no {wrong[0]}; there are {', '.join(KINDS)}")
    return KINDS if not named or "all" in named else named


def _names(kind: str, count: int) -> list[str]:
    if kind in ("sqs", "redis"):
        return [kind] if count == 1 else []
    return [kind] if count == 1 else [f"{kind}3-{n}" for n in (1, 2, 3)]


def _node(name: str) -> Node:
    for kind in KINDS:
        for count in (1, 3):
            if name in _names(kind, count):
                return next(one for one in _nodes(kind, count) if one.name == name)
    raise ServiceError(f"there is no node {name}; `services status` lists them")


def _prepare(kind: str, count: int) -> None:
    if kind == "kafka":
        kafka.prepare(count)
    elif kind == "rabbitmq":
        rabbitmq.prepare(count)
    elif kind == "sqs":
        sqs.prepare()
    else:
        redis.prepare()


def _nodes(kind: str, count: int) -> list[Node]:
    if kind == "kafka":
        return kafka.nodes(count)
    if kind == "rabbitmq":
        return rabbitmq.nodes(count)
    return sqs.nodes() if kind == "sqs" else redis.nodes()


def _environment(kind: str, count: int) -> dict[str, str]:
    if kind == "kafka":
        return kafka.environment(count)
    if kind == "rabbitmq":
        return rabbitmq.environment(count)
    return sqs.environment() if kind == "sqs" else redis.environment()
