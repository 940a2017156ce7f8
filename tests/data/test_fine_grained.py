import numpy as np
import pytest

from bitseek.data import PROTOCOLS, load_protocol
from bitseek.data import fine_grained as module
from bitseek.errors import BitseekError, DataError


def lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def cub(tmp_path):
    folder = tmp_path / "CUB_200_2011"
    names = ["001.Black_footed_Albatross/a 1.jpg", "001.Black_footed_Albatross/b.jpg", "002.Auk/c.jpg", "002.Auk/d.jpg"]
    lines(folder / "images.txt", *(f"{i} {name}" for i, name in enumerate(names, 1)))
    lines(folder / "image_class_labels.txt", "1 1", "2 1", "4 2", "3 2")  # in another order: joined by the number
    lines(folder / "train_test_split.txt", "2 0", "1 1", "3 1", "4 0")
    lines(folder / "classes.txt", "1 001.Black_footed_Albatross", "2 002.Auk")
    for name in names:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).touch()
    return folder


def test_cub_joins_its_files(cub, tmp_path):
    split = module.cub200(PROTOCOLS["cub200"], tmp_path, 0)
    assert split.pool.classes == ("001.Black_footed_Albatross", "002.Auk")
    assert split.pool.labels.numbers.tolist() == [0, 0, 1, 1]
    assert split.train.tolist() == [0, 2] and split.query.tolist() == [1, 3]
    np.testing.assert_array_equal(split.database, split.train)
    assert split.pool.key(0) == "001.Black_footed_Albatross/a 1.jpg"
    (cub / "images" / "002.Auk" / "d.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 4 listed images are absent, for one .*d\.jpg"):
        module.cub200(PROTOCOLS["cub200"], tmp_path, 0)


def test_cub_damaged(cub, tmp_path):
    with pytest.raises(DataError, match="cub200 has 5994 items in train, these files have 2"):
        load_protocol("cub200", tmp_path)
    lines(cub / "image_class_labels.txt", "1 1", "2 1", "3 3", "4 2")
    with pytest.raises(DataError, match=r"has classes that classes\.txt does not: .*3"):
        load_protocol("cub200", tmp_path)
    lines(cub / "image_class_labels.txt", "1 1", "2 1", "3 2")
    with pytest.raises(DataError, match="list different images"):
        load_protocol("cub200", tmp_path)
    lines(cub / "image_class_labels.txt", "1 1", "2", "3 2")
    with pytest.raises(BitseekError, match=r"image_class_labels\.txt is not a table"):
        load_protocol("cub200", tmp_path)
    (cub / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"there is no file .*classes\.txt\. Unpack CUB_200_2011\.tgz"):
        load_protocol("cub200", tmp_path)


def save_mat(path, files, labels):
    scipy_io = pytest.importorskip("scipy.io")
    cells = np.empty((len(files), 1), object)
    cells[:, 0] = files
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy_io.savemat(path, {"file_list": cells, "labels": np.array(labels, np.float64)[:, None]})


def test_dogs_native_lists(tmp_path):
    folder = tmp_path / "StanfordDogs"
    save_mat(folder / "train_list.mat", ["n02-Chi/a.jpg", "n03-Pug/b.jpg", "n03-Pug/c.jpg"], [1, 2, 2])
    save_mat(folder / "test_list.mat", ["n03-Pug/d.jpg", "n02-Chi/e.jpg"], [2, 1])
    split = module.dogs(PROTOCOLS["dogs"], tmp_path, 0, check_images=False)
    assert split.pool.labels.numbers.tolist() == [0, 1, 1, 1, 0] and split.pool.classes == ("n02-Chi", "n03-Pug")
    assert split.train.tolist() == [0, 1, 2] and split.query.tolist() == [3, 4] and split.database.tolist() == [0, 1, 2]
    assert split.pool.images.rows([4]) == [folder / "Images" / "n02-Chi" / "e.jpg"]
    with pytest.raises(DataError, match="dogs: 5 of 5 listed images are absent"):
        module.dogs(PROTOCOLS["dogs"], tmp_path, 0)
    with pytest.raises(DataError, match="dogs has 12000 items in train, these files have 3"):
        load_protocol("dogs", tmp_path, check_images=False)


def test_dogs_damaged(tmp_path):
    folder = tmp_path / "StanfordDogs"
    save_mat(folder / "train_list.mat", ["a/a.jpg", "a/b.jpg"], [1, 1])
    (folder / "test_list.mat").write_bytes((folder / "train_list.mat").read_bytes()[:150])
    with pytest.raises(BitseekError, match=r"test_list\.mat"):
        load_protocol("dogs", tmp_path)
    save_mat(folder / "test_list.mat", ["a/c.jpg", "a/d.jpg"], [1])
    with pytest.raises(BitseekError, match="2 files, 1 labels"):
        load_protocol("dogs", tmp_path)


@pytest.fixture
def products(tmp_path):
    folder, header = tmp_path / "Stanford_Online_Products", "image_id class_id super_class_id path"
    lines(
        folder / "Ebay_train.txt",
        header,
        "1 1 1 bicycle_final/1.JPG",
        "2 1 1 bicycle_final/2.JPG",
        "3 2 2 cabinet_final/3.JPG",
    )
    lines(
        folder / "Ebay_test.txt",
        header,
        "4 3 2 cabinet_final/4.JPG",
        "5 3 2 cabinet_final/5.JPG",
        "6 4 1 bicycle_final/6.JPG",
    )
    return folder


def test_sop_by_product_and_by_kind(products, tmp_path):
    split = module.sop(PROTOCOLS["sop"], tmp_path, 0, check_images=False)
    assert split.pool.labels.numbers.tolist() == [0, 0, 1, 2, 2, 3] and len(split.pool.classes) == 4
    assert split.train.tolist() == [0, 1, 2] and split.query.tolist() == split.database.tolist() == [3, 4, 5]
    assert split.queries_in_database == 3 and split.k == 100
    split = module.sop_12(PROTOCOLS["sop-12"], tmp_path, 0, check_images=False)
    assert split.pool.labels.numbers.tolist() == [0, 0, 1, 1, 1, 0] and split.pool.classes == ("bicycle", "cabinet")
    assert split.database.tolist() == [0, 1, 2] and split.queries_in_database == 0 and split.k == 1000
    for name in ("sop", "sop-12"):
        with pytest.raises(DataError, match=f"{name} has 59551 items in train, these files have 3"):
            load_protocol(name, tmp_path, check_images=False)
        with pytest.raises(DataError, match=f"{name}: 6 of 6 listed images are absent"):
            load_protocol(name, tmp_path)


def test_sop_damaged(products, tmp_path):
    lines(products / "Ebay_test.txt", "4 3 2 cabinet_final/4.JPG")
    with pytest.raises(BitseekError, match=r"Ebay_test\.txt is not a list"):
        load_protocol("sop", tmp_path)
    lines(products / "Ebay_test.txt", "image_id class_id super_class_id path", "4 x 2 cabinet_final/4.JPG")
    with pytest.raises(BitseekError, match=r"is not a list .*invalid literal"):
        load_protocol("sop", tmp_path)
    lines(products / "Ebay_test.txt")
    with pytest.raises(BitseekError, match=r"Ebay_test\.txt is not a list"):
        load_protocol("sop", tmp_path)


def test_sizes_are_the_published_ones():
    sizes = {name: PROTOCOLS[name].sizes for name in ("cub200", "dogs", "sop", "sop-12")}
    assert sizes["cub200"][0] + sizes["cub200"][1] == 11_788  # CUB-200-2011
    assert sizes["dogs"][0] + sizes["dogs"][1] == 20_580  # Stanford Dogs
    assert sizes["sop"][0] + sizes["sop"][1] == 120_053  # Stanford Online Products
