from __future__ import annotations

import pytest

from panopticon.errors import Rejected
from panopticon.plugins import load_plugin


def test_an_attribute_is_named_by_its_module() -> None:
    assert load_plugin("panopticon.errors:Rejected") is Rejected


@pytest.mark.parametrize(
    "name", ["", ":", "panopticon.errors", "panopticon.errors:", ":Rejected", ".errors:Rejected"]
)
def test_another_form_is_refused(name: str) -> None:
    with pytest.raises(ImportError, match="not of the form module:attribute"):
        load_plugin(name)


@pytest.mark.parametrize(
    ("name", "told"), [("no_such_module:X", "no_such_module"), ("panopticon.errors:X", "'X'")]
)
def test_what_is_not_there_is_told(name: str, told: str) -> None:
    with pytest.raises(ImportError, match=told):
        load_plugin(name)
