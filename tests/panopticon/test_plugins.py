from __future__ import annotations

import pytest

from panopticon.errors import Rejected
from panopticon.plugins import load_plugin


def test_an_attribute_is_named_by_its_module() -> None:
    assert load_plugin("panopticon.errors:Rejected") is Rejected


@pytest.mark.parametrize(
    "name", ["", ":", "panopticon.errors", "panopticon.errors:", ":Rejected", ".errors:Rejected"]
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ImportError, match="not of the form module:attribute"):
        load_plugin(name)


@pytest.mark.parametrize(
    ("name", "message"), [("no_such_module:X", "no_such_module"), ("panopticon.errors:X", "'X'")]
)
def test_the_error_for_a_missing_module_or_attribute_names_it(name: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        load_plugin(name)
