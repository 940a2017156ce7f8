"""The description says what the service does: requests made up from it, right and wrong ones, are answered so."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.server.harness import TOKEN, draw, served

from bitseek.collection import Collection

EXAMPLES = 25
"""Of each of the operations, of which there are more than twelve."""


@pytest.fixture(scope="module")
def address(hasher, tmp_path_factory):
    place = tmp_path_factory.mktemp("openapi")
    for i in range(8):
        draw(place / "photos" / "ab"[i % 2] / f"{i}.png", i)
    (place / "added").mkdir()
    with Collection.create(place / "collection", hasher=hasher) as collection:
        collection.update(place / "photos", hasher=hasher)
    with served(place / "collection", place, token=TOKEN, add_to=str(place / "added"), rate=None) as (found, _):
        yield found


def test_made_up_requests_are_answered_as_described(address):
    """Right and wrong ones: no error of the service, no status, type or field that the description does not tell."""
    description = schemathesis.openapi.from_url(f"{address}/api/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) >= 14
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy())
        def answered(case):
            if case.path.endswith(("/images", "/update")) or case.method == "DELETE":
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {TOKEN}"}
            answer = case.call()
            assert answer.status_code < 500, (case, answer.text)
            # The description cannot say how long the codes of this collection are, or which labels there are.
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])

        answered()


def test_every_route_is_described_with_types(client):
    described = client.get("/api/openapi.json").json()["paths"]
    assert len(described) >= 14
    for path, methods in described.items():
        for method, operation in methods.items():
            good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            if "application/json" in good.get("content", {}):
                assert "$ref" in good["content"]["application/json"]["schema"], (path, method)
            assert "Problem" in str(operation["responses"]["422"]), (path, method)
            assert operation["summary"] and operation.get("description"), (path, method)
