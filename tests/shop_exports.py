"""Exports as Shopify and WooCommerce write them, with photos behind addresses: every trap of theirs in a few rows."""

import csv
import io
from dataclasses import dataclass

CDN = "http://cdn.shop.example"

SHOPIFY_COLUMNS = """Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,
Variant SKU,Variant Price,Variant Image,Image Src,Image Position,Image Alt Text,SEO Title,Gift Card,Status""".replace(
    "\n", ""
).split(",")

WOOCOMMERCE_COLUMNS = """ID,Type,SKU,Name,Published,Short description,Description,Regular price,Categories,Tags,Images,
Parent,Position,Attribute 1 name,Attribute 1 value(s)""".replace("\n", "").split(",")


@dataclass(frozen=True)
class Dialect:
    """How a shop's program writes a table: delimiter, line end, encoding and whether all cells are quoted."""

    delimiter: str = ","
    line_end: str = "\n"
    encoding: str = "utf-8"
    mark: bytes = b""
    quote_all: bool = False

    def write(self, columns: list[str], rows: list[dict[str, str]]) -> bytes:
        """The table's bytes."""
        text = io.StringIO()
        quoting = csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end, quoting=quoting)
        writer.writerow(columns)
        writer.writerows([row.get(column, "") for column in columns] for row in rows)
        return self.mark + text.getvalue().encode(self.encoding)


DIALECTS = {
    "plain": Dialect(),
    "windows": Dialect(";", "\r\n", "utf-8", b"\xef\xbb\xbf"),
    "excel": Dialect("\t", "\r\n", "utf-16-le", b"\xff\xfe"),
    "latin": Dialect(";", "\r\n", "latin-1"),
    "quoted": Dialect(quote_all=True),
}

BODY = '<p>Ein "warmer" Mantel, grün;\n<br>mit <a href="http://elsewhere.example/a.jpg">Karte</a>\tund Größen</p>'
"""With commas, semicolons, quotes, a tab, a line end, an address that is none of a photo, and umlauts."""


def shopify_rows() -> list[dict[str, str]]:
    """Bags of three photos and two variants, a hat, one whose photo is gone, one without photos, one with a type."""
    first = {"Handle": "bag", "Title": "Tasche", "Body (HTML)": BODY, "Tags": "=neu, rot", "Variant SKU": "001"}
    photos = {"Image Src": f"{CDN}/bag 1.png?v=1", "Image Position": "1", "Variant Image": f"{CDN}/bag-3.png"}
    return [
        first | photos | {"Variant Price": "19.90"},
        {
            "Handle": "bag",
            "Option1 Value": "M",
            "Variant SKU": "2",
            "Image Src": f"{CDN}/bag-2.png",
            "Image Position": "2",
        },
        {"Handle": "bag", "Image Src": f"{CDN}/bag-3.png", "Image Position": "3"},
        {"Handle": "hut", "Title": "Hut, groß", "Image Src": "//cdn.shop.example/hat.png#1", "Image Position": "1"},
        {"Handle": "fehlt", "Title": "Fehlt", "Image Src": f"{CDN}/gone.png", "Image Position": "1"},
        {"Handle": "leer", "Title": "Ohne Foto", "Variant SKU": "0009"},
        {
            "Handle": "eigen",
            "Title": "Eigene",
            "Type": "Beutel",
            "Image Src": f"{CDN}/bag-2.png",
            "Image Position": "1",
        },
    ]


def woocommerce_rows() -> list[dict[str, str]]:
    """A bag with two variations and three photos, and a hat of two photos, of which one is gone."""
    first = {"ID": "11", "Type": "variable", "SKU": "H-1", "Name": "Tasche", "Description": BODY}
    small = {"ID": "12", "Type": "variation", "SKU": "H-1-M", "Name": "Tasche - M", "Parent": "H-1"}
    return [
        first | {"Images": f"{CDN}/bag 1.png?v=1, {CDN}/w_80,h_80/bag-2.png"},
        small | {"Images": f"{CDN}/bag-3.png"},
        {"ID": "13", "Type": "variation", "SKU": "H-1-L", "Name": "Tasche - L", "Parent": "id:11"},
        {"ID": "14", "Type": "simple", "SKU": "T-1", "Name": "Hut", "Images": f"{CDN}/hat.png, {CDN}/gone.png"},
    ]
