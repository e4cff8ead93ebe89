"""Write the JSON Schema of the wire contract: `python -m tools.make_schema`. `--check` only compares it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from panopticon.messages import json_schemas

SCHEMA_FILE = Path(__file__).parent.parent / "docs" / "wire-contract.schema.json"


def schema_text() -> str:
    """Return the schema as it is stored: indented, with sorted keys and one newline at the end."""
    return json.dumps(json_schemas(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Replace the schema file, or with `--check` fail if it would change."""
    if "--check" not in sys.argv[1:]:
        SCHEMA_FILE.write_text(schema_text(), "utf-8")
    elif SCHEMA_FILE.read_text("utf-8") != schema_text():
        sys.exit(f"docs/{SCHEMA_FILE.name} does not match panopticon/messages.py; run: make docs")


if __name__ == "__main__":
    main()
