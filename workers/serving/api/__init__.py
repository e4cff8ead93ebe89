"""The answers of the service: routes, bodies and problems."""
