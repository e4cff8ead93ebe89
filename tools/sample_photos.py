"""Print the folders of the photos in the sample packages: `python -m tools.sample_photos`."""

from __future__ import annotations

import os
from importlib.util import find_spec

FOLDERS = {"skimage": "data", "sklearn": "datasets/images"}


def folders() -> list[str]:
    """Return one folder per package, relative to the working directory, so that its path has no spaces."""
    found = []
    for package, folder in FOLDERS.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit(f"{package} is not installed: pip install 'panopticon[samples]'")
        found.append(os.path.relpath(os.path.join(spec.submodule_search_locations[0], folder)))
    return found


if __name__ == "__main__":
    print(*folders(), sep="\n")
