"""RabbitMQ as a transport of Mesh Gateway."""
