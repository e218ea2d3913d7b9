"""Apache Kafka as a transport of Mesh Gateway.

Reading order: `options.py` and `names.py` (what the documents say, and what topics and groups are called),
`records.py` (event ↔ record), `watermark.py` (which offset may be committed: pure), `connection.py` and
`faults.py` (how aiokafka is set up, and what its errors mean), `publisher.py` with `shares.py`, `producer.py` and `batches.py`,
`subscription.py` (one member of a consumer group) with `deliveries.py` and `fetches.py`, `partitions.py` (its partitions across rebalances), `topics.py`, `offsets.py`, `letters.py`
(dead letters: browse and remove), `watch.py` (is the cluster still there), `ending.py` (how clients end), `transport.py` (all of it as the
contract), `knative.py` (Knative's ConfigMap).
"""
