"""A client of Panopticon's HTTP service that sends images straight to its hosts, without a proxy."""

from panopticon_client.async_client import AsyncClient
from panopticon_client.bodies import Image
from panopticon_client.client import Call, Client
from panopticon_client.errors import Busy, ClientError, Rejected, Unavailable, Unexpected, Unreadable
from panopticon_client.results import (
    Analysis,
    Gate,
    HostList,
    Model,
    ModelAnswer,
    Picture,
    Problem,
    SearchPage,
    StoredImage,
    Tag,
)

__all__ = [
    "Analysis",
    "AsyncClient",
    "Busy",
    "Call",
    "Client",
    "ClientError",
    "Gate",
    "HostList",
    "Image",
    "Model",
    "ModelAnswer",
    "Picture",
    "Problem",
    "Rejected",
    "SearchPage",
    "StoredImage",
    "Tag",
    "Unavailable",
    "Unexpected",
    "Unreadable",
]
