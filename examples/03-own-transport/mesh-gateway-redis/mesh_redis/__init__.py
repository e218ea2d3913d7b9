"""Redis Streams as a transport of Mesh Gateway."""
