"""A collection of the first bits of a model: searched like any other, and never mixed with codes of another length."""

import numpy as np
import pytest
from PIL import Image
from tests.collection.harness import codes_of, encoded, files
from tests.runs.harness import a_hasher, pictures
from unchecked import unchecked

from bitseek.collection import Collection, at_length
from bitseek.errors import CodeWidthError
from bitseek.portable import OnnxHasher, export_onnx


@pytest.fixture(scope="module")
def whole():
    return a_hasher()


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(pictures(20)):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i:02d}.png")
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def exported(whole, tmp_path_factory):
    return OnnxHasher(export_onnx(whole, tmp_path_factory.mktemp("exported") / "whole.onnx"))


@pytest.fixture(params=["run", "onnx"])
def models(request, whole, exported):
    """The whole model, and another form of it."""
    return (whole, exported) if request.param == "run" else (exported, whole)


def test_codes_are_the_first_bits_and_any_form_of_the_model_goes_on_with_them(models, photos, tmp_path):
    model, other = models
    with Collection.create(tmp_path / "c", hasher=model.prefix(16), features=True) as collection:
        assert collection.bits == 16 and collection.update(photos).added == 20
    with Collection.open(tmp_path / "c") as collection:
        assert collection.fingerprint == model.prefix(16).fingerprint and collection.encoder().bits == 16
        assert codes_of(collection) == encoded(model.prefix(16), files(photos))
        assert collection.verify().ok
        for hasher in (None, model, other, model.prefix(16), other.prefix(16)):  # a whole one is cut
            hits = collection.search(files(photos)[3], k=20, hasher=hasher)
            assert hits[0].item.path == files(photos)[3] and hits[0].distance == 0
        for rerank in ("logits", "features"):
            assert len(collection.search(files(photos)[3], k=5, rerank=rerank, hasher=other)) == 5
        (photos / "new.png").write_bytes((photos / "00.png").read_bytes() + b"\0")
        assert collection.update(hasher=other).added == 1  # by the whole model in another form
        assert collection.find(photos / "new.png").code == collection.find(photos / "00.png").code


def test_another_length_is_refused(models, photos, tmp_path):
    model, other = models
    with Collection.create(tmp_path / "c", hasher=model.prefix(16)) as collection:
        collection.update(photos)
        for wrong in (model.prefix(8), other.prefix(8), a_hasher(lengths=(8,))):
            with pytest.raises(CodeWidthError, match=r"made by model .*:16.* \(16 bits\), not by"):
                collection.search(pictures(1)[0], hasher=wrong)
        with pytest.raises(CodeWidthError, match="holds codes of 16 bits"):
            collection.search(model.encode(pictures(1)))
        assert collection.search(model.encode(pictures(1), bits=16), k=1)[0][0].distance == 0
    with Collection.create(tmp_path / "all", hasher=model) as collection:
        collection.update(photos)
        with pytest.raises(CodeWidthError):
            collection.search(pictures(1)[0], hasher=other.prefix(16))


def test_codes_of_a_file_go_where_they_belong(whole, photos, tmp_path):
    with Collection.create(tmp_path / "a", hasher=whole.prefix(16)) as collection:
        collection.update(photos)
        collection.export(tmp_path / "codes.npz")
        expected = codes_of(collection)
    with Collection.create(tmp_path / "b", hasher=whole.prefix(16)) as collection:
        assert collection.add_codes(tmp_path / "codes.npz").added == 20
        assert sorted(codes_of(collection).values()) == sorted(expected.values())
    for hasher in (whole, whole.prefix(8)):
        with (
            Collection.create(tmp_path / f"{hasher.bits}", hasher=hasher) as collection,
            pytest.raises(CodeWidthError),
        ):
            collection.add_codes(tmp_path / "codes.npz")


def test_an_encoder_is_cut_only_to_what_it_was_trained_for(whole):
    assert at_length(whole, 16).fingerprint == whole.prefix(16).fingerprint
    for bits in (4, 12, 24, 32):
        assert at_length(whole, bits) is whole

    class Plain:
        bits = 24

    plain = Plain()
    assert unchecked(at_length)(plain, 16) is plain
    np.testing.assert_array_equal(at_length(whole, 8).logits(pictures()), whole.logits(pictures())[:, :8])
