from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panopticon.settings import PREFIX, Settings, SettingsError, describe, read_settings

SECRET = "s3cr3t"


def settings(
    *, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None, file: Path | None = None
) -> Settings:
    return read_settings(flags=flags or {}, environ=environ or {}, file=file)


def written(folder: Path, text: str) -> Path:
    file = folder / "panopticon.toml"
    file.write_text(text, "utf-8")
    return file


def refusal(**sources: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(**sources)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("flag", "variable", "in_file", "expected"),
    [
        (1, "2", 3, 1),
        (None, "2", 3, 2),
        (None, None, 3, 3),
        (None, None, None, 0),
        (1, None, 3, 1),
    ],
)
def test_the_command_line_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, flag: int | None, variable: str | None, in_file: int | None, expected: int
) -> None:
    file = written(tmp_path, "" if in_file is None else f"threads = {in_file}")
    environ = {} if variable is None else {"PANOPTICON_THREADS": variable}
    assert settings(flags={"threads": flag}, environ=environ, file=file).threads == expected


def test_sources_that_set_different_keys_are_merged(tmp_path: Path) -> None:
    merged = settings(
        flags={"threads": 1}, environ={"PANOPTICON_ENGINE": "keras"}, file=written(tmp_path, "max_pixels = 5")
    )
    assert (merged.threads, merged.engine, merged.max_pixels) == (1, "keras", 5)


def test_variables_of_other_programs_are_ignored() -> None:
    assert settings(environ={"PATH": "/bin", "THREADS": "x", "panopticon_threads": "x"}).threads == 0


@pytest.mark.parametrize(
    "text", ["", "\n# nothing\n", "\ufeffthreads = 0\n"], ids=["empty", "comment", "bom"]
)
def test_a_file_without_settings_leaves_the_defaults(tmp_path: Path, text: str) -> None:
    assert settings(file=written(tmp_path, text)) == settings()


def test_a_list_in_the_environment_is_written_with_commas() -> None:
    environ = {"PANOPTICON_MODELS": "tagger@2, quality@1,", "PANOPTICON_RETRY_DELAYS_S": "1,2.5"}
    read = settings(environ=environ)
    assert (read.models, read.retry_delays_s) == (("tagger@2", "quality@1"), (1.0, 2.5))


def test_a_list_in_the_file_is_a_list_of_toml(tmp_path: Path) -> None:
    file = written(tmp_path, 'models = ["tagger@2"]\nretry_delays_s = [1, 2.5]')
    read = settings(file=file)
    assert (read.models, read.retry_delays_s) == (("tagger@2",), (1.0, 2.5))


def test_no_delay_at_all_means_no_retry() -> None:
    assert settings(environ={"PANOPTICON_RETRY_DELAYS_S": ""}).retry_delays_s == ()


def test_a_component_without_a_url_uses_the_database() -> None:
    read = settings(flags={"database": "sqlite:////x.db", "search": "opensearch://host"})
    urls = (read.broker_url, read.store_url, read.search_url)
    assert urls == ("sqlite:////x.db", "sqlite:////x.db", "opensearch://host")


BAD_VALUES = [
    ("prune", "sometimes"),
    ("prune_limit", "1.5"),
    ("prune_limit", "nan"),
    ("dead_share", "nan"),
    ("max_ks", "inf"),
    ("models", ""),
    ("threads", "-1"),
    ("threads", "many"),
    ("threads", "1.5"),
    ("threads", "9" * 5000),
    ("max_bytes", "0"),
    ("max_pixels", "inf"),
    ("lease_s", "0"),
    ("lease_s", "-1"),
    ("lease_s", "nan"),
    ("lease_s", "inf"),
    ("lease_s", "1e9"),
    ("retry_delays_s", "10,x"),
    ("retry_delays_s", "10,0"),
    ("dead_share", "0"),
    ("dead_share", "1.01"),
    ("dead_share", "nan"),
    ("models", ""),
    ("pairs", "raw"),
    ("models", " , "),
    ("cache_dir", ""),
    ("models_dir", ""),
    ("database", ""),
    ("database", "panopticon.db"),
    ("broker", "localhost"),
    ("store", "://x"),
    ("search", "9p://x"),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=lambda value: value[:20])
def test_the_error_for_a_bad_variable_names_its_key_its_origin_and_its_description(
    key: str, value: str
) -> None:
    message = refusal(environ={PREFIX + key.upper(): value})
    assert message.startswith(f"setting {key!r} from the environment (PANOPTICON_…)")
    assert message.endswith(f"({Settings.model_fields[key].description})")


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=lambda value: value[:20])
def test_the_error_for_a_bad_flag_names_its_key_and_its_origin(key: str, value: str) -> None:
    assert refusal(flags={key: value}).startswith(f"setting {key!r} from the command line")


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("threads", "threads = true"),
        ("lease_s", "lease_s = true"),
        ("dead_share", "dead_share = true"),
        ("lease_s", "lease_s = 1979-05-27"),
        ("engine", "engine = 3"),
        ("models", "models = [1]"),
        ("models", "models = []"),
        ("models_dir", "models_dir = 3"),
        ("broker", "broker = {host = 'x'}"),
        ("retry_delays_s", "retry_delays_s = 10"),
        ("retry_delays_s", "retry_delays_s = [true]"),
    ],
)
def test_the_error_for_a_bad_value_in_the_file_names_its_key_and_the_file(
    tmp_path: Path, key: str, line: str
) -> None:
    file = written(tmp_path, line)
    assert refusal(file=file).startswith(f"setting {key!r} from {file}")


def test_a_bad_value_is_shown() -> None:
    assert "is 'many'" in refusal(environ={"PANOPTICON_THREADS": "many"})


def test_a_bad_value_that_another_source_overrides_is_ignored() -> None:
    assert settings(flags={"threads": 2}, environ={"PANOPTICON_THREADS": "many"}).threads == 2


@pytest.mark.parametrize(
    "origin", [{"flags": {"borker": "x"}}, {"environ": {"PANOPTICON_BORKER": "x"}}], ids=["flag", "variable"]
)
def test_the_error_for_an_unknown_setting_names_the_closest_one_and_all(origin: dict[str, Any]) -> None:
    message = refusal(**origin)
    assert message.startswith("unknown setting 'borker' from ")
    assert "did you mean 'broker'?" in message
    assert message.endswith("known: " + ", ".join(Settings.model_fields))


def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "[panopticon]\nthreads = 1")
    assert refusal(file=file).startswith(f"unknown setting 'panopticon' from {file}; known: ")


def test_nothing_is_suggested_where_nothing_is_close() -> None:
    assert "did you mean" not in refusal(flags={"xyzzy": 1})


@pytest.mark.parametrize(
    "key", ["database", "broker", "store", "search", "threads", "lease_s", "retry_delays_s"]
)
@pytest.mark.parametrize(
    "value", [f"amqp//me:{SECRET}@host/", f"me:{SECRET}@host", f" amqp://me:{SECRET}@host"]
)
def test_a_credential_in_a_refused_value_is_never_repeated(tmp_path: Path, key: str, value: str) -> None:
    file = written(tmp_path, f'{key} = "{value}"')
    for sources in ({"flags": {key: value}}, {"environ": {PREFIX + key.upper(): value}}, {"file": file}):
        assert SECRET not in refusal(**sources)


def test_a_credential_next_to_a_refused_value_is_never_repeated() -> None:
    assert SECRET not in refusal(flags={"broker": f"amqp://me:{SECRET}@host", "threads": -1})


def test_a_credential_in_a_broken_file_is_never_repeated(tmp_path: Path) -> None:
    assert SECRET not in refusal(file=written(tmp_path, f"broker = amqp://me:{SECRET}@host"))


@pytest.mark.parametrize(
    "text",
    ["threads", "threads = 1\nthreads = 2", "threads = " + "9" * 5000, "models = " + "[" * 100_000],
    ids=["no-value", "given-twice", "huge-number", "deep"],
)
def test_the_error_for_a_file_that_is_not_toml_names_the_file(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    assert refusal(file=file).startswith(f"settings file {file}: ")


def test_the_error_for_a_file_that_is_not_utf_8_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "panopticon.toml"
    file.write_bytes(b'engine = "\xff"')
    assert refusal(file=file).startswith(f"settings file {file}: ")


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.toml", "No such file or directory"), (".", "Is a directory")]
)
def test_the_error_for_an_unreadable_file_names_the_file_once(tmp_path: Path, name: str, reason: str) -> None:
    assert refusal(file=tmp_path / name) == f"settings file {tmp_path / name}: {reason}"


@given(st.sampled_from(list(Settings.model_fields)), st.text(st.characters(exclude_categories=["Cs"])))
def test_any_variable_gives_settings_or_one_line(key: str, value: str) -> None:
    try:
        settings(environ={PREFIX + key.upper(): value})
    except SettingsError as refused:
        message = str(refused)
    else:
        message = ""
    assert "\n" not in message


def test_every_setting_is_described_in_order() -> None:
    rows = list(describe())
    assert [row.key for row in rows] == list(Settings.model_fields)
    assert all(row.description for row in rows)


def test_a_default_is_described_as_it_would_be_written_in_the_environment() -> None:
    environ = {PREFIX + key.upper(): default for key, default, _ in describe() if default}
    assert settings(environ=environ) == settings()


def test_a_setting_without_a_default_is_described_by_an_empty_text() -> None:
    defaults = {key: default for key, default, _ in describe()}
    assert (defaults["models_dir"], defaults["broker"]) == ("", "")


def test_the_environment_of_a_decoding_process_has_no_password_and_equal_rights() -> None:
    read = settings(
        flags={
            "broker": f"amqp://ann:{SECRET}@host/vhost?x={SECRET}",
            "store": f"cassandra://ann:{SECRET}@host/keyspace",
            "espresso": f"http://ann:{SECRET}@host:8080",
            "espresso_token": SECRET,
            "max_bytes": 5,
        }
    )
    environ = read.without_addresses().as_environ()
    assert SECRET not in str(environ)
    child = settings(environ=environ)
    assert (child.max_bytes, child.readable_roots, child.broker) == (5, (), "amqp://")


def test_a_token_is_shown_neither_by_an_error_nor_in_the_text_of_the_settings() -> None:
    assert SECRET not in repr(settings(flags={"espresso_token": SECRET}))
    with pytest.raises(SettingsError) as refused:
        settings(flags={"espresso_token": [SECRET]})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "roots"),
    [
        ({}, (Path("/"),)),
        ({"broker": "amqp://host"}, ()),
        ({"broker": "amqp://host", "file_roots": "/photos, /more"}, (Path("/photos"), Path("/more"))),
        ({"file_roots": "/photos"}, (Path("/photos"),)),
        ({"broker": "sqlite:////queue.db"}, (Path("/"),)),
    ],
)
def test_files_are_read_under_the_roots_or_anywhere_if_the_broker_is_sqlite(
    flags: dict[str, Any], roots: tuple[Path, ...]
) -> None:
    read = settings(flags=flags)
    assert read.readable_roots == roots
    assert settings(environ=read.without_addresses().as_environ()).readable_roots == roots
