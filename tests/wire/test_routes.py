"""Paths as routes, so that metrics stay few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire.routes import OTHER, ROUTES, route_of


@pytest.mark.parametrize("route", ROUTES)
def test_every_route(route):
    """A path with ids in their places is its route, with or without a query."""
    path = "/open-apis/" + route.replace(":id", "om_x1")
    assert route_of(path) == route
    assert route_of(f"{path}?receive_id_type=chat_id") == route


@pytest.mark.parametrize(
    "path",
    [
        "/open-apis/im/v1",
        "/open-apis/im/v1/messages/",
        "/open-apis/im/v1/messages//reply",
        "/open-apis/im/v1/messages/om_1/nothing",
        "/open-apis/sheets/v2/x",
        "/open-apis/",
        "/callback/ws/endpoint",
        "",
    ],
)
def test_the_rest(path):
    """What is not listed is `other`."""
    assert route_of(path) == OTHER


@given(st.text())
def test_closed(text):
    """Whatever is asked for, there are no more routes than these."""
    assert route_of(f"/open-apis/{text}") in {*ROUTES, OTHER}
