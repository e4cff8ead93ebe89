"""An image's URI leads to an address that is not public: one failure, and nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from panopticon.messages import ImageMessage, Lane
from tests.models.engines import MISLEADING
from tests.workers.faults.pipeline import pipeline

METADATA = "latest/meta-data/iam/security-credentials/"


@pytest.mark.parametrize("host", ["169.254.169.254", MISLEADING])
def test_a_uri_to_the_metadata_of_a_cloud_is_one_failure_and_no_other_image_is_harmed(
    tmp_path: Path, host: str
) -> None:
    with pipeline(tmp_path, "misled") as run:
        forbidden = ImageMessage(image_id="forbidden", image_uri=f"http://{host}/{METADATA}")
        run.broker.uploads.publish([forbidden], Lane.LIVE)
        run.submit({"grey": run.picture("grey", (90, 90, 90))})
        run.start_worker()
        run.wait_until_settled()
        (failure,) = run.dead(["forbidden"]).values()
        assert failure.reason == "address_not_allowed"
        assert failure.detail == f"{host} is not public; see the setting private_hosts"
        assert set(run.stored(["forbidden", "grey"])) == {"grey"}
