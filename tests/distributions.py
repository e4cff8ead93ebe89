"""Distributions with plug-ins, in the form in which pip installs them: a module and its `.dist-info`."""

from __future__ import annotations

from pathlib import Path


def install_preprocessing(folder: Path, code: str, *, name: str = "demo", version: str = "1.2") -> Path:
    """Install a distribution `{name}-plugin`, whose `prepare` is the preprocessing plug-in `{name}`."""
    info = folder / f"{name}_plugin-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[panopticon.preprocessing]\n{name} = {name}_plugin:prepare\n")
    (folder / f"{name}_plugin.py").write_text(code)
    return folder
