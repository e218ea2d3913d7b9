"""Gateways that are wrong on purpose: whoever is to find such a bug has to find these.

A mutant is a patch over the code of a gateway in a process of its own (`python -m tests.faults.mutants.run M5 …`); none of
it is in the wheel. `switchboard.py` names them, `embedded.py` and its neighbours make them, `tests/faults/test_mutants.py` has
the prober catch them.
"""
