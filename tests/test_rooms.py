"""How many consumers there may be, counted over configuration and journal."""

import pytest

from feishu_ws import rooms
from feishu_ws.config import ConfigError, Settings
from feishu_ws.config.keys import DeliverySection
from feishu_ws.model import Filter


def declaring(*names):
    """Return settings that declare consumers."""
    return Settings(delivery=DeliverySection(consumers=tuple((n, Filter()) for n in names)))


@pytest.mark.parametrize(("known", "new"), [(31, 1), (32, 0), (0, 32), (40, 0)])
def test_declared_ones_that_have_a_place(known, new):
    """Up to 32 together; those that are there already are nothing new, however many."""
    names = [f"c{n}" for n in range(known)]
    rooms.check_crowd(declaring(*names[:3], *(f"n{n}" for n in range(new))), names)


@pytest.mark.parametrize(("known", "new"), [(32, 1), (31, 2), (1, 32)])
def test_declared_ones_that_have_none(known, new):
    """They are refused before anything changes; the error says what to do."""
    names = [f"c{n}" for n in range(known)]
    with pytest.raises(ConfigError) as caught:
        rooms.check_crowd(declaring(*(f"n{n}" for n in range(new))), names)

    (error,) = caught.value.errors
    assert error.startswith(f"delivery.consumers declares {new} new ones")
    assert "consumers forget" in error
    assert str(known + new) in error


def test_too_many_that_are_there_already():
    """A journal with more than there can be is worth a warning."""
    assert rooms.crowded(range(32)) == ""
    assert "33 consumers" in rooms.crowded(range(33))
