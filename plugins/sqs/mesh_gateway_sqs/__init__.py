"""SQS as a transport of Mesh Gateway."""
