"""Amazon SQS as a transport of Mesh Gateway.

Reading order: `options.py` and `names.py` (what the documents say, and what queues are called), `messages.py` (event ↔
message), `signing.py`, `connection.py` and `http.py` (one signed request), `api.py` (what is sent and received for every event),
`client.py` (calls of the SQS API and what their errors mean), `batches.py` (several at a time), `publisher.py`, `clock.py`,
`receipts.py` (deleted, hidden), `subscription.py`, `queues.py` (made, looked at), `letters.py` (dead letters), `transport.py`.
"""
