"""Amazon SQS as a transport of Mesh Gateway.

Reading order: `options.py` and `names.py` (what the documents say, and what queues are called), `messages.py` (event ↔
message), `signing.py` and `http.py` (one signed request), `client.py` (calls of the SQS API and what their errors mean),
`publisher.py`, `clock.py`, `subscription.py`, `queues.py` (made, looked at), `letters.py` (dead letters), `transport.py`.
"""
