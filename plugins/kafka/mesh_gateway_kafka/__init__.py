"""Apache Kafka as a transport of Mesh Gateway.

Reading order: `options.py` and `names.py` (what the documents say, and what topics and groups are called),
`records.py` (event ↔ record), `watermark.py` (which offset may be committed: pure), `connection.py` and
`faults.py` (how aiokafka is set up, and what its errors mean), `link.py` (requests over its connections), `publisher.py` with
`shares.py`, `batches.py`, `producer.py` and `produce.py`, `subscription.py` (one member of a consumer group) with `deliveries.py`,
`consumer.py` (how it fetches: `fetches.py`, `fetched.py`) and `partitions.py` (its partitions across rebalances), `topics.py`, `offsets.py`, `letters.py` (dead letters: browse and remove), `watch.py` (is the cluster still there), `ending.py` (how clients end), `transport.py` (all of it as the
contract), `knative.py` (Knative's ConfigMap).
"""
