"""Several models over one stream of photos: each photo with all its answers, in the order of the stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from panopticon.errors import Unavailable
from panopticon.interfaces import ModelRunner
from panopticon.messages import Lane
from panopticon.results.outputs import VersionName
from panopticon.scheduling.items import Answer
from storage.originals.files import uri_of
from workers.classification.paths import PathLine, PathSource

MIN_WINDOW = 64
"""Photos that are under way at once at least, so that one slow photo does not hold up those after it."""
WINDOW_CREDITS = 2
IDLE_WAIT_S = 0.1
BUSY_WAIT_S = 0.02
"""Longest wait for answers of one model, in which no path is read and no other model is asked."""


@dataclass(slots=True, kw_only=True, eq=False)
class Photo:
    """One line of the list, and what each model answered about the photo that it names."""

    line: PathLine
    answers: dict[VersionName, Answer] = field(default_factory=dict)


class Classifier:
    """Runs models side by side, each in a process of its own that is started once. Used by one thread."""

    def __init__(self, models: Mapping[VersionName, ModelRunner]) -> None:
        self._models = models
        self._window: deque[Photo] = deque()
        self._asked: dict[VersionName, dict[int, Photo]] = {version: {} for version in models}

    def photos(self, paths: PathSource) -> Iterator[Photo]:
        """Yield each line once every model has answered, in order; memory does not grow with their number.

        Raises: Unavailable if a model cannot run at all, after the photos that were finished by then.
        """
        while self._window or not paths.ended:
            self._take(paths)
            while self._window and self._is_finished(self._window[0]):
                yield self._window.popleft()
            self._refuse_dead_models()
            # At the end of an empty list no model is started.
            if self._window or not paths.ended:
                self._collect()

    def _take(self, paths: PathSource) -> None:
        credit = max(model.credit for model in self._models.values())
        room = max(MIN_WINDOW, WINDOW_CREDITS * credit) - len(self._window)
        for line in paths.take(room, wait_s=0.0 if self._window else IDLE_WAIT_S):
            photo = Photo(line=line)
            self._window.append(photo)
            if line.error is None:
                self._ask(photo)

    def _ask(self, photo: Photo) -> None:
        # Joined and not normalised: `..` after a link to a folder is another one than it looks.
        uri = uri_of(os.path.join(os.getcwdb(), photo.line.path))
        for version, model in self._models.items():
            self._asked[version][model.add(Lane.LIVE, uri=uri).id] = photo

    def _is_finished(self, photo: Photo) -> bool:
        return photo.line.error is not None or len(photo.answers) == len(self._models)

    def _collect(self) -> None:
        for version, model in self._models.items():
            asked = self._asked[version]
            for answer in model.poll(wait_s=BUSY_WAIT_S if asked else 0.0):
                asked.pop(answer.item.id).answers[version] = answer

    def _refuse_dead_models(self) -> None:
        for version, model in self._models.items():
            if model.down is not None:
                raise Unavailable("model", f"{version}: {model.down.reason}")
