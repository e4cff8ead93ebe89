"""`POST /v1/analyze`: its parameters, its places at the gates, the endpoint, and its answer."""
