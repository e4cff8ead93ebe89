"""Write the schemas of the wire contract and of the HTTP API: `python -m tools.make_schema`.

`--check` only compares them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from panopticon.messages import json_schemas
from workers.serving.api.openapi.document import openapi

DOCS = Path(__file__).parent.parent / "docs"
SCHEMA_FILE = DOCS / "wire-contract.schema.json"
OPENAPI_FILE = DOCS / "openapi.json"


def schema_text() -> str:
    """Return the schema of the wire contract as it is stored."""
    return _stored(json_schemas(), sort_keys=True)


def openapi_text() -> str:
    """Return the OpenAPI document as it is stored."""
    # Its order is one in which a person reads.
    return _stored(openapi(), sort_keys=False)


def _stored(document: dict[str, Any], *, sort_keys: bool) -> str:
    return json.dumps(document, indent=2, sort_keys=sort_keys, ensure_ascii=False) + "\n"


def main() -> None:
    """Replace the files, or with `--check` fail if one would change."""
    for file, text, source in (
        (SCHEMA_FILE, schema_text(), "panopticon/messages.py"),
        (OPENAPI_FILE, openapi_text(), "workers/serving/api/openapi/operations.py"),
    ):
        if "--check" not in sys.argv[1:]:
            file.write_text(text, "utf-8")
        elif not file.exists() or file.read_text("utf-8") != text:
            sys.exit(f"docs/{file.name} does not match {source}; run: make docs")


if __name__ == "__main__":
    main()
