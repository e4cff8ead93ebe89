"""The connections of the service: listening, TLS, limits, malformed requests and refusals."""
