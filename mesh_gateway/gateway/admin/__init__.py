"""The admin listener: health, metrics, status, dead letters and watching, as JSON over HTTP.

One resource per noun under `/api/v1`. Errors are `application/problem+json`. With a token
configured everything but the health probes asks for `Authorization: Bearer`; without one the `Host`
of a request must be an address or localhost, so that no web page can reach it through DNS. What changes
something takes JSON only, and is logged.

Reading order: `application.py` (the resources), `guard.py` (who may ask), `gateway.py` (who is asked), `requests.py` (what a
request says), then the resources: `status.py`, `deadletters.py`, `documents.py`, `watch.py`; `listener.py` and
`connection.py` (the socket, and one client of it).
"""
