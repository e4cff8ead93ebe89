"""Bearer tokens: their scopes, the file of their hashes, and the check of each request."""
