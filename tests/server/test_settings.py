"""Settings refuse in a sentence what cannot be served."""

import pytest

from bitseek.errors import BitseekError
from bitseek.server._settings import Settings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"port": 70000}, "port"),
        ({"workers": 0}, "workers"),
        ({"token": "short"}, "16 or more"),
        ({"token": "with a space in it all"}, "16 or more"),
        ({"add_to": "/no/such/folder"}, "no such folder"),
        ({"allowed_hosts": ["http://a.example"]}, "without http://"),
        ({"allowed_hosts": ["a.example:80"]}, "without http://"),
        ({"rate": 0}, "rate"),
        ({"ports": 1}, "there is no 'ports'"),
    ],
)
def test_what_cannot_be_served_is_refused(values, words):
    with pytest.raises(BitseekError, match=words):
        Settings(**values)


def test_the_token_is_in_no_text_of_the_settings():
    settings = Settings(token="correct horse battery".replace(" ", "-"))
    assert "horse" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_hosts_are_compared_without_case_and_brackets():
    assert Settings(allowed_hosts=("Photos.Example.", "[2001:DB8::1]")).allowed_hosts == (
        "photos.example",
        "2001:db8::1",
    )
