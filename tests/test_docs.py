"""Every command, link, file name and example in the documents is checked against the program."""

from __future__ import annotations

import ast
import io
import json
import re
import shlex
import tokenize
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click
import jsonschema
import pytest

from panopticon.cards.cards import ModelCard
from panopticon.models import find_card
from panopticon.policy.policy_check import read_checked
from panopticon.results.outputs import VersionName
from panopticon.settings import read_settings
from workers.cli.main import cli

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "chef" / "README.md",
    ROOT / "clients" / "python" / "README.md",
    *sorted((ROOT / "deploy").glob("*/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE_SPAN = re.compile(r"`[^`\n]*`")
FOLDERS = "panopticon|storage|workers|clients|tests|benchmarks|tools|docs|deploy|chef"
FILE = re.compile(rf"(?:{FOLDERS})/[\w./-]*\w(?:\.\w+|/)")

BANNED = {
    "anew": r"anew",
    "aside": r"(?:set|sets|setting|left|leave|leaves|put|puts) aside",
    "beside": r"beside",
    "condemn, acquit": r"(?:condemn|acquit)\w*",
    "dossier": r"dossiers?",
    "for so long": r"(?:for|after) so (?:long|many|much)",
    "give back": r"g(?:ive|ives|ave|iven|iving)(?: \w+)? back",
    "handing-over": r"handings?-over",
    "in hand": r"in hand",
    "in vain": r"in vain",
    "is no X": r"(?<!there )(?:is|are) no (?!longer|more|less|fewer)",
    "judge": r"judg(?:e|es|ed|ing)",
    "kept of, said of": r"(?:kept|said) of",
    "lest": r"lest",
    "made good": r"ma(?:ke|kes|de) good",
    "mend": r"mend(?:s|ed|ing)?",
    "of which": r"of which",
    "ruling": r"rulings?",
    "rung": r"rungs?",
    "standing": r"standings?",
    "told": r"told",
    "verdict": r"verdicts?",
    "what it is that": r"what it is that",
    "whoever": r"whoever",
    "worked off": r"work(?:s|ed)? off",
}
"""Words and phrases that readers of other companies would not write, each with its pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    document: str
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.info}: {self.text.strip().splitlines()[0]:.40}"


def fences(language: str) -> list[Fence]:
    return [
        Fence(document=name_of(document), info=info, text=text)
        for document in DOCUMENTS
        for info, text in FENCE.findall(document.read_text("utf-8"))
        if language in info.split()
    ]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def spans(document: Path) -> list[str]:
    """Return every text between single backticks, outside fences."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", document.read_text("utf-8")))


def calls(lines: list[str]) -> list[str]:
    """Return every `panopticon …` call in these lines, without comments, placeholders and pipes."""
    found = {call for line in lines if (call := call_in(line))}
    return sorted(call for call in found if not re.search("…|COMMAND", call))


def call_in(line: str) -> str | None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer) if line.count("'") % 2 == 0 else []
    if "panopticon" not in words:
        return None
    after = words[words.index("panopticon") :]
    end = next((at for at, word in enumerate(after) if word[0] in "|&;<>"), len(after))
    return shlex.join(after[:end]) if end > 1 else None


def examples() -> list[str]:
    return calls([line for fence in fences("sh") for line in fence.text.splitlines()])


def mentions() -> list[str]:
    return calls([span for document in DOCUMENTS for span in spans(document)])


def parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> str:
    """Return the name of the command that these words call.

    Raises: click.UsageError, as typing them in a terminal would.
    """
    with command.make_context(name, list(words), parent=parent) as context:
        if not isinstance(command, click.Group):
            return name
        rest = context.args
        at = len(words) - len(rest) - 1
        found, group_member, arguments = command.resolve_command(context, [words[at], *rest])
        assert found is not None
        assert group_member is not None
        return f"{found} {parse(group_member, found, arguments, context)}"


def links(document: Path) -> Iterator[str]:
    text = FENCE.sub("", document.read_text("utf-8"))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(document: Path) -> set[str]:
    """Return the fragments of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("line", examples())
def test_the_program_accepts_every_example(line: str) -> None:
    assert parse(cli, "panopticon", shlex.split(line)[1:])


@pytest.mark.parametrize("line", mentions())
def test_every_command_in_the_text_exists_with_its_options(line: str) -> None:
    with suppress(click.MissingParameter):
        parse(cli, "panopticon", shlex.split(line)[1:])


def test_a_command_with_an_unknown_option_is_refused() -> None:
    with pytest.raises(click.UsageError):
        parse(cli, "panopticon", ["dead", "list", "--colour"])


def test_the_tour_has_an_example_of_every_command() -> None:
    text = (ROOT / "docs" / "tour.md").read_text("utf-8")
    examples_of_tour = "\n".join(body for info, body in FENCE.findall(text) if info == "sh")
    commands = cli.list_commands(click.Context(cli))
    assert commands
    assert [name for name in commands if not re.search(rf"\bpanopticon {name}\b", examples_of_tour)] == []


def test_the_readme_links_to_every_document() -> None:
    linked = {link for link in links(ROOT / "README.md") if link.startswith("docs/")}
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - linked == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_link_has_a_target(document: Path) -> None:
    local = [link for link in links(document) if not link.startswith(("https://", "mailto:"))]
    for path, _, fragment in (link.partition("#") for link in local):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{name_of(document)} links to {path}"
        assert not fragment or fragment in anchors(target), f"{name_of(document)} links to {path}#{fragment}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = [span for span in spans(document) if FILE.fullmatch(span)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def tree_of_the_architecture() -> dict[str, set[str]]:
    """Return each package of the tree in `docs/architecture.md` with the folders listed under it."""
    (tree,) = [
        text
        for _, text in FENCE.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
        if text.startswith("panopticon/ ")
    ]
    listed: dict[str, set[str]] = {}
    package = ""
    for line in tree.splitlines():
        if match := re.match(r"[├└]── (\w+)/", line):
            listed[package].add(match[1])
        elif match := re.match(r"(\w+)/", line):
            package = match[1]
            listed[package] = set()
    return listed


@pytest.mark.parametrize("package", ["panopticon", "storage", "workers"])
def test_the_tree_in_the_architecture_lists_every_folder_of_a_package(package: str) -> None:
    there = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
    assert tree_of_the_architecture()[package] == there


def banned_in(text: str) -> list[str]:
    """Return each banned word or phrase of the text, with the words around it."""
    prose = " ".join(text.split())
    return [
        f"{word}: …{prose[max(match.start() - 40, 0) : match.end() + 40]}…"
        for word, pattern in BANNED.items()
        for match in re.finditer(rf"\b{pattern}\b", prose, re.IGNORECASE)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_document_has_no_banned_word_outside_code(document: Path) -> None:
    assert banned_in(CODE_SPAN.sub("", FENCE.sub("", document.read_text("utf-8")))) == []


def prose_of(source: str) -> str:
    """Return the comments, docstrings and texts of a Python file; a string without a space is a key."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    constants = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    texts = [value for value in constants if isinstance(value, str) and " " in value]
    return CODE_SPAN.sub("", "\n".join([*comments, *texts]))


@pytest.mark.parametrize("package", ["panopticon", "storage", "workers", "clients"])
def test_a_package_has_no_banned_word_in_its_texts(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {banned}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for banned in banned_in(prose_of(path.read_text("utf-8")))
    ]
    assert not found, "\n".join(found)


def test_comments_docstrings_and_messages_of_a_file_are_prose_and_its_keys_are_not() -> None:
    source = '"""A word that is told."""\nraise_it("it is told")  # and told again\nkeys = {"told": None}\n'
    assert len(banned_in(prose_of(source))) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is made\nanew.", 1),
        ("A PNG is no JPEG.", 1),
        ("There is no queue.", 0),
        ("It is no longer asked.", 0),
        ("Besides, the recommended lane is live.", 0),
    ],
)
def test_a_banned_word_is_found_across_lines_and_never_inside_another_word(text: str, found: int) -> None:
    assert len(banned_in(text)) == found


@pytest.mark.parametrize("fence", fences("json"), ids=str)
def test_json_in_the_documents_is_json(fence: Fence) -> None:
    json.loads(fence.text)


OPENAPI = json.loads((ROOT / "docs" / "openapi.json").read_text("utf-8"))
SCHEMAS = OPENAPI["components"]["schemas"]


@pytest.mark.parametrize("fence", fences("answer"), ids=str)
def test_an_answer_in_the_documents_is_one_of_the_api(fence: Fence) -> None:
    """The last word of the fence names the schema, as in `json answer ServedModel`."""
    name = fence.info.split()[-1]
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    jsonschema.Draft202012Validator(schema).validate(json.loads(fence.text))
    # A schema lets answers grow, so that a mistyped key would pass.
    assert set(json.loads(fence.text)) <= set(SCHEMAS[name]["properties"])


def curls() -> list[str]:
    return [line for fence in fences("curl") for line in fence.text.splitlines() if line.startswith("curl ")]


def operation_of(path: str) -> dict[str, Any]:
    """Return the operations of the path in the API that a request's path belongs to."""
    for template, operations in OPENAPI["paths"].items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path):
            found: dict[str, Any] = operations
            return found
    raise AssertionError(f"the API has no path {path}")


@pytest.mark.parametrize("line", curls())
def test_every_request_in_the_documents_is_one_of_the_api(line: str) -> None:
    words = shlex.split(line)
    sends = {"--data-binary", "-F", "--json"} & set(words)
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if sends else "GET"
    (url,) = [urlsplit(word) for word in words if word.startswith("http://")]
    operation = operation_of(url.path)[method.lower()]
    known = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
    assert {name for name, _ in parse_qsl(url.query, strict_parsing=bool(url.query))} <= known


def test_the_http_api_names_every_path() -> None:
    text = (ROOT / "docs" / "http-api.md").read_text("utf-8")
    assert [path for path in OPENAPI["paths"] if path not in text] == []


@pytest.mark.parametrize("fence", fences("toml"), ids=str)
def test_toml_in_the_documents_is_toml(fence: Fence) -> None:
    assert tomllib.loads(fence.text)


@pytest.mark.parametrize("fence", fences("settings"), ids=str)
def test_settings_in_the_documents_are_settings(fence: Fence, tmp_path: Path) -> None:
    file = tmp_path / "panopticon.toml"
    file.write_text(fence.text, "utf-8")
    read_settings(flags={}, environ={}, file=file)


@pytest.mark.parametrize("fence", fences("card"), ids=str)
def test_a_card_in_the_documents_is_a_card(fence: Fence, tmp_path: Path) -> None:
    ModelCard(**tomllib.loads(fence.text), folder=tmp_path)


@pytest.mark.parametrize("fence", fences("policy"), ids=str)
def test_a_policy_in_the_documents_is_valid_for_the_tagger(fence: Fence) -> None:
    card = find_card(VersionName(model="tagger", version=1))
    read_checked(fence.text, source=fence.document, task=card.task, labels=card.labels)


def test_the_settings_of_the_checkout_keep_everything_inside_it() -> None:
    settings = read_settings(flags={}, environ={}, file=ROOT / "panopticon.toml")
    assert settings.database.startswith("sqlite:///.panopticon/")
    assert settings.cache_dir.parts[0] == ".panopticon"


def test_the_picture_of_the_terminal_fetches_nothing_and_shows_the_cat() -> None:
    picture = (ROOT / "docs" / "terminal.svg").read_text("utf-8")
    assert "url(http" not in picture
    assert "tiger" in picture
