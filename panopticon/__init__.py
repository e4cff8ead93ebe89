"""The core of the system: messages, cards, images, outputs, documents. No sockets, drivers or threads."""
