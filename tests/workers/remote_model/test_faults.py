"""A real worker with a real service: whatever befalls the service, stored = submitted and no attempt is spent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.models.engines import RED
from tests.servers.blackhole import Blackhole
from tests.workers.faults.pipeline import Pipeline, pipeline
from tests.workers.faults.test_hostile_images import photos_with_one_red
from tests.workers.remote_model.real_service import RealService, real_service
