"""Which products are in the random sample, and which of those in its sealed test part.

Both are keyed hashes of the product's name, so they are fixed before anybody or any model has seen the product, the
same each time that it is added, and independent of each other.
"""

import hashlib


def rank_of(seed: int, catalogue: str, name: str) -> float:
    """A number in [0, 1), uniform over names. The products with the lowest ones are a simple random sample."""
    return _uniform(seed, b"rank", catalogue, name)


def is_in_test(seed: int, catalogue: str, name: str) -> bool:
    """Whether the product would be in the sealed test part, which is half of the random sample."""
    return _uniform(seed, b"test", catalogue, name) < 0.5


def _uniform(seed: int, purpose: bytes, catalogue: str, name: str) -> float:
    key = str(seed).encode()
    content = "\0".join((catalogue, name)).encode(errors="surrogatepass")
    digest = hashlib.blake2b(content, digest_size=8, key=key, person=purpose).digest()
    return float((int.from_bytes(digest, "big") >> 11) * 2.0**-53)  # the 53 bits of a double
