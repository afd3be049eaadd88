"""`read`: names, paths, and a test part in a separate file."""

from dataclasses import replace

import numpy as np
import pytest
from photo_files import garment

from muslin.data import read
from muslin.data.dataset import Target, encode_labels, join
from muslin.data.writers.csv import write_images
from muslin.errors import DataError


def write(path, synthetic, rows, labels):
    write_images(synthetic.dataset.images.pixels[rows], [labels[i] for i in synthetic.true_labels[rows]], path)
    return path


@pytest.mark.parametrize("nothing", ["no/such/file.csv", "fashion_mnist", "x" * 5000, "a\0b"])
def test_neither_a_file_nor_a_registered_name_is_refused(nothing):
    with pytest.raises(DataError) as error:
        read(nothing)
    assert error.value.code == "data_unknown"
    assert error.value.params["choices"] == ["cats-dogs", "clothing", "clothing-small", "fashion-mnist"]


def test_an_unknown_option_of_reading_is_a_type_error(tmp_path):
    with pytest.raises(TypeError, match="'colour'"):
        read(tmp_path, colour="red")


def test_a_folder_that_is_no_data_set_is_described(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert error.value.code == "format_not_detected"
    assert error.value.params["path"] == str(tmp_path)


def test_a_test_file_gets_the_train_files_class_indices(tmp_path, synthetic):
    names = synthetic.dataset.target().classes
    train = write(tmp_path / "a.csv", synthetic, slice(0, 100), names)
    few = np.flatnonzero(np.isin(synthetic.true_labels, [4, 2]))  # trouser and shirt only
    test = write(tmp_path / "b.csv", synthetic, few, names)

    dataset = read(train, test=test)

    assert dataset.target().classes == names
    assert np.array_equal(dataset.part("test").labels["label"], synthetic.true_labels[few])
    assert list(dataset.ids[[0, 99, 100]]) == ["train/0", "train/99", "test/0"]


def test_a_class_that_only_the_test_file_has_is_refused_by_name(tmp_path, synthetic):
    names = synthetic.dataset.target().classes
    train = write(tmp_path / "a.csv", synthetic, np.flatnonzero(synthetic.true_labels < 3), names)
    test = write(tmp_path / "b.csv", synthetic, slice(0, 100), names)
    with pytest.raises(DataError) as error:
        read(train, test=test)
    assert error.value.code == "classes_unknown"
    assert error.value.params["classes"] == ["shoe", "trouser"]


def test_a_test_file_without_labels_is_refused(tmp_path, synthetic):
    train = write(tmp_path / "a.csv", synthetic, slice(0, 100), synthetic.dataset.target().classes)
    test = tmp_path / "b.csv"
    test.write_text(",".join(f"pixel{i}" for i in range(784)) + "\n" + ",".join(["0"] * 784) + "\n")
    with pytest.raises(DataError) as error:
        read(train, test=test)
    assert error.value.code == "no_label_column"
    assert error.value.params["path"] == str(test)


def test_a_test_file_of_another_size_is_refused(tmp_path, synthetic):
    train = write(tmp_path / "a.csv", synthetic, slice(0, 100), synthetic.dataset.target().classes)
    test = tmp_path / "b.csv"
    test.write_text("label,p1,p2,p3,p4\nbag,0,0,0,0\n")
    with pytest.raises(DataError) as error:
        read(train, test=test)
    assert error.value.code == "sizes_differ"
    assert len(error.value.params["sizes"]) == 2


def test_data_with_a_test_part_take_no_second_one(tmp_path, synthetic):
    test = write(tmp_path / "b.csv", synthetic, slice(0, 100), synthetic.dataset.target().classes)
    with pytest.raises(DataError) as error:
        read("fashion-mnist", test=test)
    assert error.value.code == "test_part_exists"
    with pytest.raises(DataError) as error:
        read(test, test="fashion-mnist")
    assert error.value.code == "test_is_dataset"


def test_options_are_refused_for_a_registered_data_set():
    with pytest.raises(DataError) as error:
        read("fashion-mnist", target="label", format="idx")
    assert error.value.code == "options_unused"
    assert error.value.params["options"] == ["format", "target"]


def test_the_training_file_is_refused_as_test_file(tmp_path, synthetic):
    train = write(tmp_path / "a.csv", synthetic, slice(0, 100), synthetic.dataset.target().classes)
    with pytest.raises(DataError) as error:
        read(train, test=tmp_path / "." / "a.csv")
    assert error.value.code == "test_is_training"


def test_an_invalid_shape_is_refused(tmp_path, synthetic):
    path = write(tmp_path / "a.csv", synthetic, slice(0, 100), synthetic.dataset.target().classes)
    for shape in ((28,), (28, 28, 2), (0, 784), (28, 28, 1, 1)):
        with pytest.raises(DataError) as error:
            read(path, shape=shape)
        assert error.value.code == "shape_invalid"


def test_fixes_of_joined_files_name_their_part(synthetic):
    first = replace(synthetic.dataset, fixes=("2 blank lines passed over",))
    assert join({"train": first, "test": synthetic.dataset}).fixes == ("train: 2 blank lines passed over",)


def write_shop(folder, name, rows):
    """`name.csv`, whose rows are a label and a sender, with a photo for each."""
    lines = ["image,label,sender_id"]
    for number, (label, sender) in enumerate(rows):
        garment(label, number).save(folder / f"{name}{number}.jpg")
        lines.append(f"{name}{number}.jpg,{label},{sender}")
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder / f"{name}.csv"


TRAINED = [("dress", "ada"), ("dress", "ada"), ("hat", "bo"), ("hat", "bo"), ("hat", "")]


def test_groups_stay_where_none_recurs_in_the_test_file(tmp_path):
    train, test = write_shop(tmp_path, "a", TRAINED), write_shop(tmp_path, "b", [("dress", "cy"), ("hat", "di")])
    assert read(test).groups is None
    groups = read(train, test=test).groups
    assert list(groups[:4]) == ["ada", "ada", "bo", "bo"]
    assert len(set(groups)) == 5


def test_products_stay_where_each_has_one_photo_in_the_test_file(tmp_path):
    train, test = write_shop(tmp_path, "a", TRAINED), write_shop(tmp_path, "b", [("dress", "cy"), ("hat", "di")])
    products = read(train, test=test, product="sender_id").products
    assert list(products[:4]) == ["ada", "ada", "bo", "bo"]
    assert len(set(products)) == 5


def test_unnamed_rows_of_two_files_are_groups_of_their_own(tmp_path):
    others = [("dress", "cy"), ("dress", "cy"), ("hat", "di"), ("hat", "di"), ("hat", "")]
    train, test = write_shop(tmp_path, "a", TRAINED), write_shop(tmp_path, "b", others)
    dataset = read(train, test=test)
    assert sum(dataset.groups == "train/(row 6)") == sum(dataset.groups == "test/(row 6)") == 1
    assert "groups_in_two_parts" not in [fix.code for fix in dataset.fixes if hasattr(fix, "code")]


def test_a_group_in_the_training_and_the_test_file_is_said(tmp_path):
    train, test = write_shop(tmp_path, "a", TRAINED), write_shop(tmp_path, "b", [*TRAINED[2:4], ("hat", "cy")])
    said = {fix.code: fix.params for fix in read(train, test=test).fixes if hasattr(fix, "code")}
    assert said["groups_in_two_parts"]["names"] == ["bo"]


def of_three_classes(synthetic, *names):
    rows = np.flatnonzero(synthetic.true_labels < 3)
    labels = {"label": synthetic.true_labels[rows]}
    return replace(synthetic.dataset.take(rows), targets=(Target("label", names),), labels=labels)


def test_numbers_are_indices_only_where_no_class_is_a_number(synthetic):
    numbers, named = of_three_classes(synthetic, "0", "1", "2"), of_three_classes(synthetic, "dress", "hat", "shirt")
    joined = join({"train": named, "test": numbers})
    assert joined.part("test").labels["label"].tolist() == named.labels["label"].tolist()
    assert [fix.params["fix"].code for fix in joined.fixes] == ["numbers_as_indices"]
    with pytest.raises(DataError) as error:
        join({"train": of_three_classes(synthetic, "0", "1", "3"), "test": numbers})
    assert (error.value.code, error.value.params["classes"]) == ("classes_unknown", ["2"])


def test_digits_that_are_no_decimals_are_names(synthetic):
    with pytest.raises(DataError) as error:
        join(
            {"train": of_three_classes(synthetic, "dress", "hat", "shirt"), "test": of_three_classes(synthetic, *"①②③")}
        )
    assert (error.value.code, error.value.params["classes"]) == ("classes_unknown", ["①", "②", "③"])


def test_names_are_sorted_and_numbers_are_in_numeric_order():
    assert encode_labels("label", np.array(["b", "a", "", "b"]))[0] == Target("label", ("a", "b"))
    assert list(encode_labels("label", np.array(["b", "a", "", "b"]))[1]) == [1, 0, -1, 1]
    assert encode_labels("label", np.array([10, 9, -1]))[0] == Target("label", ("-1", "9", "10"))


def test_control_characters_in_class_names_are_read_as_text(tmp_path, synthetic):
    names = [f"{name}\x1b[31m" for name in synthetic.dataset.target().classes]
    dataset = read(write(tmp_path / "a.csv", synthetic, slice(0, 100), names))
    assert set(dataset.target().classes) == {f"{name}\\x1b[31m" for name in synthetic.dataset.target().classes}
    fix = next(fix for fix in dataset.fixes if fix.code == "control_characters_shown")
    assert fix.params["count"] == len(names)


def test_names_that_would_become_the_same_stay_as_they_are(tmp_path, synthetic):
    names = ["a\x1b", "a\\x1b", *synthetic.dataset.target().classes[2:]]
    dataset = read(write(tmp_path / "a.csv", synthetic, slice(0, 100), names))
    assert {"a\x1b", "a\\x1b"} <= set(dataset.target().classes)
