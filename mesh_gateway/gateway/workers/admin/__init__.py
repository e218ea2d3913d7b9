"""The admin API of a gateway in several processes: every question goes to those that know, and the answer is one.

Dead letters of a Broker on the embedded transport lie with the worker that could not deliver them. Their positions say which:
`2.17` is 17 of worker 2, `17` is 17 of worker 0. What waits on a broker that the workers share, any of them can tell.

Reading order: `resources.py` (whose handlers answer), `asked.py` (who is asked), then the resources that differ from those
of one process: `status.py`, `deadletters.py`, `watch.py`. Everything else is of `gateway/admin/`.
"""
