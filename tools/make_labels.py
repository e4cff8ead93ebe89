"""Write the tagger's labels.csv: one row per ImageNet class, in the order of the model's outputs.

    python -m tools.make_labels SYNSETS LEMMAS DATA_NOUN > panopticon/models/tagger/labels.csv

SYNSETS    1000 lines, the synset ID of class i on line i (timm's wheel: timm/data/_info/imagenet_synsets.txt)
LEMMAS     lines `synset<TAB>name, other name, …` (the same wheel: imagenet_synset_to_lemma.txt)
DATA_NOUN  WordNet 3.0 nouns (Debian's wordnet-base: /usr/share/wordnet/data.noun), format in wndb(5)

A label is the first name of its synset. Its ancestors are its other names, then the first two names of every
synset above it, nearest first, without those that are too abstract for search.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAMES_OF_AN_ANCESTOR = 2

TOO_ABSTRACT = frozenset(
    (
        "abstraction",
        "artifact",
        "attribute",
        "causal agent",
        "commodity",
        "entity",
        "event",
        "fluid",
        "group",
        "instrumentality",
        "living thing",
        "matter",
        "measure",
        "natural object",
        "object",
        "organism",
        "part",
        "physical entity",
        "process",
        "psychological feature",
        "relation",
        "solid",
        "substance",
        "thing",
        "whole",
    )
)

NOT_IN_PLAIN_ENGLISH = frozenset({("04576211", "03094503")})
"""Hypernyms that nobody would search for: WordNet counts a wheeled vehicle among the containers."""

RENAMED = {
    "n02012849": "crane (bird)",
    "n02113186": "Cardigan Welsh corgi",
    "n03126707": "crane (machine)",
    "n03710721": "tank suit",
}
"""Synsets whose first name another class has too, compared without case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    names: tuple[str, ...]
    hypernyms: tuple[str, ...]


def read_nouns(path: Path) -> dict[str, Noun]:
    """Read WordNet's nouns, by their eight-digit offset."""
    nouns: dict[str, Noun] = {}
    for line in path.read_text("ascii").splitlines():
        # The lines of the licence are indented.
        if line.startswith("  "):
            continue
        # The gloss after the bar is not needed.
        fields = line.split(" | ")[0].split(" ")
        names_end = 4 + 2 * int(fields[3], 16)
        pointers = [fields[start : start + 2] for start in range(names_end + 1, len(fields) - 3, 4)]
        nouns[fields[0]] = Noun(
            names=tuple(name.replace("_", " ") for name in fields[4:names_end:2]),
            hypernyms=tuple(target for symbol, target in pointers if symbol in ("@", "@i")),
        )
    return nouns


def ancestors(offset: str, nouns: dict[str, Noun]) -> Iterator[Noun]:
    """Yield every synset above this one, once, breadth first."""
    seen, waiting = {offset}, [offset]
    while waiting:
        below = waiting.pop(0)
        for above in nouns[below].hypernyms:
            if above not in seen and (below, above) not in NOT_IN_PLAIN_ENGLISH:
                seen.add(above)
                waiting.append(above)
                yield nouns[above]


def broader_terms(label: str, synonyms: list[str], above: Iterator[Noun]) -> list[str]:
    terms = [
        name
        for noun in above
        if noun.names[0] not in TOO_ABSTRACT
        for name in noun.names[:NAMES_OF_AN_ANCESTOR]
    ]
    return [term for term in dict.fromkeys([*synonyms, *terms]) if term != label]


def rows(
    synsets: list[str], lemmas: dict[str, str], nouns: dict[str, Noun]
) -> Iterator[tuple[str, str, str]]:
    for synset in synsets:
        names = lemmas[synset].split(", ")
        label = RENAMED.get(synset, names[0])
        yield label, synset, "|".join(broader_terms(label, names, ancestors(synset[1:], nouns)))


def main(synsets_path: str, lemmas_path: str, nouns_path: str) -> None:
    synsets = Path(synsets_path).read_text("utf-8").split()
    lemmas = dict(line.split("\t") for line in Path(lemmas_path).read_text("utf-8").splitlines())
    table = list(rows(synsets, lemmas, read_nouns(Path(nouns_path))))
    twice = [
        label for label, count in Counter(label.casefold() for label, _, _ in table).items() if count > 1
    ]
    if twice:
        sys.exit(f"two classes share a label: {', '.join(twice)}")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("label", "synset", "ancestors"))
    writer.writerows(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
