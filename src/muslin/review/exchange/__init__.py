"""Files of labelling tools: decisions to Label Studio, FiftyOne and CVAT, and back from them."""

from muslin.review.exchange.files import EXCHANGE_FORMATS, ExchangeFormat, ReadFile, read_exchange

__all__ = ["EXCHANGE_FORMATS", "ExchangeFormat", "ReadFile", "read_exchange"]
