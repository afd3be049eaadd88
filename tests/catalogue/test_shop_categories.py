"""The categories of Shopify and Google that come with muslin."""

import pytest

from muslin.catalogue.shop_categories import SHOP_TAXONOMIES, shop_categories, shop_taxonomy
from muslin.data.registry import DATASETS
from muslin.errors import DataError
from refusals import refuses

CLOTHING_SMALL = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"]

DEEPFASHION_TEXT = """
Anorak Blazer Blouse Bomber Button-Down Cardigan Flannel Halter Henley Hoodie Jacket Jersey Parka Peacoat Poncho Sweater
Tank Tee Top Turtleneck Capris Chinos Culottes Cutoffs Gauchos Jeans Jeggings Jodhpurs Joggers Leggings Sarong Shorts
Skirt Sweatpants Sweatshorts Trunks Caftan Cape Coat Coverup Dress Jumpsuit Kaftan Kimono Nightdress Onesie Robe Romper
Shirtdress Sundress
"""
DEEPFASHION = DEEPFASHION_TEXT.split()
"""The categories of its Category and Attribute Prediction Benchmark."""

WITHOUT = ["Sarong", "Caftan", "Kaftan", "Kimono"]
"""Those whose category depends on how they are worn and sold."""


@pytest.mark.parametrize("name", SHOP_TAXONOMIES)
@pytest.mark.parametrize("classes", [CLOTHING_SMALL, DATASETS["fashion-mnist"].classes, DEEPFASHION])
def test_common_classes_have_categories(name: str, classes: list[str]) -> None:
    taxonomy = shop_taxonomy(name, classes)
    assert [label for label in classes if label not in taxonomy.ids] == [c for c in classes if c in WITHOUT]
    paths = shop_categories()[name]["categories"]
    for label, category in taxonomy.ids.items():
        assert f"{taxonomy.path_above(label)} > {taxonomy.name(label)}" == paths[category]


@pytest.mark.parametrize("name", SHOP_TAXONOMIES)
def test_table_of_categories_is_complete(name: str) -> None:
    table = shop_categories()
    paths = table[name]["categories"]
    used = {found[name] for found in table["tags"].values() if name in found}
    assert used == set(paths), "each category has a tag, and each tag's category is there"
    leaves = [path.rpartition(" > ")[2] for path in paths.values()]
    assert len(set(leaves)) == len(leaves), "tags with one name are one tag"
    assert table[name].keys() >= {"title", "version", "source", "licence"}


def test_spelling_and_number_make_no_difference() -> None:
    classes = ["T_SHIRT", "Dresses", "Ankle Boots", "trouser", "Tank-Top", "Snowboard"]
    taxonomy = shop_taxonomy("shopify", classes)
    assert [taxonomy.name(label) for label in classes] == [
        "T-Shirts", "Dresses", "Boots", "Pants", "Tank Tops", "Snowboard",
    ]  # fmt: skip
    [note] = taxonomy.notes
    assert "Snowboard" in note


def test_other_models_and_languages_are_refused() -> None:
    with refuses("taxonomy_fits_no_class", DataError, taxonomy="google"):
        shop_taxonomy("google", ["cat", "dog"])
    with refuses("taxonomy_language_unknown", DataError, choices=["en"]):
        shop_taxonomy("google", ["dress"], "de")
