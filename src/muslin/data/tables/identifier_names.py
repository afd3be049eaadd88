"""What the name of a column says: identifiers of things, such as `sample_id`, in several languages and spellings."""

import re
import unicodedata

PRODUCT_COLUMNS = ("handle", "urlhandle", "producthandle", "productid", "itemid", "styleid", "sku")
"""Names, their words joined, of columns whose cells recur where a product has several rows, the likeliest first.

Shopify's exports have a row for each photo and variant of a `Handle`; WooCommerce's list all photos of a product in one
row."""

_CERTAIN_PRODUCTS = ("productid", "itemid")
"""Those of PRODUCT_COLUMNS that keep photos together also where a product has very many."""

GROUP_COLUMNS = ("group", "groupid", "senderid", "personid", "userid")
"""Names, their words joined, of columns that are groups whatever their photos look like."""

_UNITS = """
sample specimen muster probe probestück exemplar échantillon echantillon muestra campione amostra próbka образец
sender absender expéditeur remitente mittente remetente uploader contributor photographer fotograf photographe
fotógrafo seller verkäufer vendeur vendedor venditore vendor lieferant fournisseur proveedor supplier user benutzer
utilisateur usuario utente customer kunde kunden client cliente person personne persona pessoa subject patient
identity model modell modèle modelo modello product produkt produit producto prodotto produto item artikel art
article artículo articulo articolo artigo товар style listing object objekt session shoot series serie série batch
lot charge roll video clip burst scene family parent image photo picture bild foto order record row entry group
gruppe groupe grupo gruppo grupa группа sku spu
"""

_SENDERS = """
sender absender expéditeur remitente mittente remetente uploader contributor photographer photographe sample
specimen échantillon echantillon muestra amostra próbka образец
"""

_MAKERS = """
brand marke marque marca бренд vendor seller supplier lieferant fournisseur proveedor manufacturer hersteller
fabricant fabricante shop store
"""

_NUMBERS = """
id ids nr no num number nummer numero número numéro n nº n° code kod código codice key uuid guid ref réf reference
référence referencia номер код
"""

_CODES = """
sku skus spu ean ean8 ean13 gtin gtin13 gtin14 upc asin mpn isbn barcode uuid guid id artnr артикул 货号 貨號 款号
款號 商品编号 商品編號 商品id 商品号 产品编号 產品編號 样品编号 样本编号 编号 編號 条码 品番 型番 商品コード 商品番号
サンプル番号 상품번호 품번 샘플번호
"""

UNITS = frozenset(_UNITS.split())
"""Things of which there are several photos."""

SENDERS = frozenset(_SENDERS.split())
"""Those of UNITS by which no label is called, also without a word for a number."""

MAKERS = frozenset(_MAKERS.split())
"""Whose photos may be alike, although their name may as well be a label."""

NUMBERS = frozenset(_NUMBERS.split())
"""Words for a number or a key."""

CODES = frozenset(_CODES.split())
"""Identifiers that need no other word."""


def is_identifier(name: str) -> bool:
    """Whether a column is called as numbers of things are: `sample_id`, `SampleID`, `Art.-Nr.`, `货号`."""
    words = words_of(name)
    if not words:
        return False
    if words[-1] in CODES and not _is_class(words):
        return True
    if joined_words(name) in CODES:
        return True
    if len(words) == 1:
        is_compound = any(words[0].startswith(unit) and words[0].removeprefix(unit) in NUMBERS for unit in UNITS)
        return is_compound or words[0] in SENDERS
    rest = words[:-1] if words[-1] in NUMBERS else words[1:] if words[0] in NUMBERS else []
    return any(word in UNITS for word in rest)


def is_group_name(name: str) -> bool:
    """Whether a column's name alone makes it a group, unless it is read as the product."""
    return joined_words(name) in (*GROUP_COLUMNS, *_CERTAIN_PRODUCTS)


def joined_words(name: str) -> str:
    """A column's name without spaces, case and signs: `productid` for `Product ID` and `product_id`."""
    return "".join(words_of(name))


def names_unit(name: str) -> bool:
    """Whether a word of a column's name is a thing, a person or a shop that can have several photos."""
    return not (UNITS | MAKERS).isdisjoint(words_of(name))


def _is_class(words: list[str]) -> bool:
    """Whether the words are of the number of something else than a thing, such as `category_id`."""
    return words[-1] in NUMBERS and len(words) > 1 and UNITS.isdisjoint(words[:-1])


def words_of(name: str) -> list[str]:
    """The words of a column's name in lower case: `SampleID` and `sample id` are `sample`, `id`."""
    text = re.sub(r"(?<=[a-zà-ÿ0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return re.findall(r"[^\W_]+°?", text.casefold())
