"""The OpenAPI document: what describes an operation, the table of all operations, and the document."""
