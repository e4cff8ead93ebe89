"""The same model behind other servers. Each module runs in the virtual environment of its server."""
