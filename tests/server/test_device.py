"""A service whose owner names a device."""

import pytest
from starlette.testclient import TestClient

from bitseek.errors import BitseekError
from bitseek.server import Settings, create_app, serve


def test_all_images_are_encoded_by_the_one_model_on_the_device(collection, photos, settings, bearer):
    """Searched for, ranked by logits, added: no second model is loaded beside it."""
    with TestClient(
        create_app(collection, Settings(**settings.model_dump() | {"device": "auto"})), base_url="http://localhost"
    ) as client:
        data = (photos / "cats" / "02.png").read_bytes()
        for place in ("/api/search", "/api/search?rerank=logits"):
            found = client.post(place, files={"image": data})
            assert found.json()["hits"][0]["item"]["name"] == "cats/02.png"
        added = client.post("/api/images", files={"image": data + b"\0"}, headers=bearer)
        assert added.status_code == 201, added.text
    assert set(collection._model._loaded) == {("auto", None)}


def test_a_device_that_is_not_there_is_a_sentence(folder):
    with pytest.raises(BitseekError, match="there is no device 'abacus' here"):
        serve(folder, Settings(device="abacus", port=0))
