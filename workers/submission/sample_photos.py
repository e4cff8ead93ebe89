"""The folders of the photos that the packages of the extra `samples` contain.

`python -m workers.submission.sample_photos` prints them, one a line.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from panopticon.errors import UsageError

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


def folders() -> list[str]:
    """Return one folder per package, relative to the working directory, so that its path has no spaces.

    Raises: UsageError if a package is not installed.
    """
    found = []
    for package, folder in FOLDERS.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise UsageError(f"{package} is not installed: pip install 'panopticon[samples]'")
        found.append(os.path.relpath(os.path.join(spec.submodule_search_locations[0], folder)))
    return found


if __name__ == "__main__":
    try:
        sys.stdout.write("".join(f"{folder}\n" for folder in folders()))
    except UsageError as error:
        sys.exit(str(error))
