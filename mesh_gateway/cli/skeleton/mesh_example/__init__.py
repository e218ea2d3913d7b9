"""`kind: example` of Mesh Gateway's Transport documents."""
