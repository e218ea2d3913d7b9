"""Kafka as a transport of Mesh Gateway."""
