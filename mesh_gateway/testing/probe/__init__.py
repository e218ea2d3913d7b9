"""The prober: whether a gateway loses, invents, doubles, swaps or changes events while it is killed and cut.

Separate processes: senders (`sender.py`), sinks with scripted answers (`sink.py`), and the one that starts them, does
harm (`nemesis.py`) and reads what is left (`run.py`). Each writes down what it does before it does it (`history.py`);
afterwards `checker/` judges the history, and `verdict.py` whether the run counts.

Reading order: `plan.py` (what a run is: the topology as a table), `workload.py` (events, answers), `codec.py` and
`oracle.py` (the wire and the filters once more, without the product's code), `history.py`, `sender.py`, `sink.py`,
`http.py` under both, `gateway.py`, `processes.py`, `nemesis.py`, `run.py`, `checker/`, `verdict.py`.

May import: the standard library and itself. What is wrong with the product is then not wrong here in the same way.
Nothing here is imported by what runs.
"""
