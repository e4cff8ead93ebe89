"""Queues on RabbitMQ: quorum queues, confirmed publishing, and one thread that owns the connections."""
