"""CloudEvents SQL 1.0.0: a filter language over attributes.

Rooms in reading order: `lexer.py`, `syntax.py` (the tree), `parser.py` (precedence), `values.py` (types, casts,
errors), `functions.py`, `like.py`, `analysis.py` (what a tree says without an event), `compile.py` (tree to
closures). What is decided where the specification is silent or contradicts its own test data stands in
docs/decisions/0003-cesql-choices.md.
"""

from mesh_gateway.filters.cesql.compile import Expression, Result, compile  # noqa: A004  # the verb
from mesh_gateway.filters.cesql.lexer import CesqlSyntaxError

__all__ = ["CesqlSyntaxError", "Expression", "Result", "compile"]
