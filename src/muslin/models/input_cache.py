"""Photos as a model takes them, of which digests are cached on the disk, by the photos' content.

With these digests, a model recognises images that it has seen, and finds its output for the others, without decoding.
"""

from dataclasses import dataclass, field, replace

from muslin.data.photo_content import cache_name, read_photo
from muslin.data.photos import ResizedPhotos, StoredImage
from muslin.models.seen_images import IMAGE_DIGEST_BYTES, digest_images
from muslin.storage.row_cache import KEY_BYTES, RowCache


@dataclass(frozen=True, kw_only=True)
class DigestedPhotos(ResizedPhotos):
    """Photos, transformed to one size on access, whose `image_digest` decodes only a photo of new content.

    Attributes:
        rows: the cached digests, by a photo's content.
        known_images: per photo its image's digest, as far as known; shared with the images made from these.
        pixel_copies: whether copies are images with equal pixels, as of images in memory; else equal files.
    """

    rows: RowCache
    known_images: dict[StoredImage, bytes] = field(default_factory=dict, repr=False, compare=False)
    pixel_copies: bool = False

    @classmethod
    def of(cls, images: ResizedPhotos, *, pixel_copies: bool) -> "DigestedPhotos":
        """The same images; what is decoded of them is kept on the disk while they are used."""
        rows = RowCache(cache_name("images", images.size, images.transform))
        cached = images.cached()
        shared = {name: getattr(cached, name) for name in ResizedPhotos.__dataclass_fields__}
        return cls(**shared, rows=rows, pixel_copies=pixel_copies)

    def check(self, index: int) -> None:
        self.image_digest(index)

    def image_digest(self, index: int) -> bytes:
        """The digest of `images[index]`, as of `muslin.models.seen_images.digest_images`.

        Raises:
            ImageError: the photo cannot be decoded.
        """
        photo = self.photos[index]
        if photo not in self.known_images:
            self.known_images[photo] = self._find_digest(index)
        return self.known_images[photo]

    def image_digests(self) -> list[bytes]:
        """`image_digest` of each photo."""
        return [self.image_digest(index) for index in range(len(self))]

    def digests(self) -> list[bytes]:
        return self.image_digests() if self.pixel_copies else super().digests()

    def _find_digest(self, index: int) -> bytes:
        photo = self.photos[index]
        if (content := read_photo(photo.name, photo)) is None:
            return digest_images([self[index]]).tobytes()
        key = content.digest
        if (row := self.rows.get(key)) is not None and len(row) == IMAGE_DIGEST_BYTES:
            return row
        # what is cached by a content is decoded from the same bytes, even where the file changes now
        image = replace(self, photos=(content,), cache=None)[0]
        if self.cache:
            self.cache.add(photo, image)
        digest = digest_images([image]).tobytes()
        self.rows.add(key, digest)
        return digest


def image_key(digest: bytes) -> bytes:
    """By which an output is cached for an image with this digest; no photo's content has such a key."""
    return digest.ljust(KEY_BYTES, b"\0")
