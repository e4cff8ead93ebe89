"""What the system is about: messages, cards, images, outputs, documents. No sockets, drivers or threads."""
