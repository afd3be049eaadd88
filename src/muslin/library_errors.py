"""Why a library could not read a file, in its own words, but without what it quotes of the file."""

import re

_WORDS = """
a absent actual added after all allowed alpha already an and another any apng application archive are area argument
array as at attempt attribute attributes available avif axis back bad band bands base batch be because been before below
between bigger bit bitfields bits blob block bmp body box broken buffer but by byte bytes called can can't cannot case
central certificate change channel channels char character characters check checksum chunk chunks class cleared close
closed code codec codes color colour column columns comment comments complete compressed compression compute connection
constant contain contains content contents control convert corrupt corrupted could couldn't count cpu crc create current
cut damaged data decimal declaration decode decoder decoding decompress decompressed decompressing decompression deep
definition deflate delimiter depth deserialization deserialize deserializing detected dictionary did different digit
digits dimension dimensions directory disconnected disk distance distances document does double duplicate during each
early either element elements empty encoded encoding encountered encrypted encryption end end-of-stream ended entire
entity entries entry eof equal errno error errors escape exceeded exceeds exhausted existing expected expecting expects
extended extra extract fail failed failure field fields file files filter finished finite fit fits float flush footer
for format formats found frame frames from full function gif given got graph gray greater group groups gzip gzipped had
has have header headers height identify if illegal image images implemented import in include incompatible incomplete
incomprehensible inconsistent incorrect index infer inference inferred inflate input inputs inside instead int int32
int64 integer integers internal into invalid is isn't it item items its join jpeg json junk key keys kind known large
larger last layer layers layout least left length lengths less level levels limit line lines list literal load loading
local long lookup mad magic malformed many map mapped marker mask match maximum may memory message metadata method
minimum mismatch mismatched missing mode model more most multiple must name named names need needed negative nested
nesting new newer next no node non none nonzero not nothing null number numbers object of offset offsets old on one only
onnx open opening operation operator option or order other out output outputs outside over overflow packet page pages
palette parquet parse parser parsing part password past path peer pixel pixels png point position present processed
property quote quoted range rank ranks raw reached read reading reason recursion reference refused regular remote
reported required reset resources response rgb rgba row rows run running same samples scan scans schema second section
seek segment sending sequence serialized server service set sets shape shapes shared shorter should signature size sizes
small smaller snappy some source specified ssl standard start starting status still stored stream string strings strip
structure such suffix support supported syntax table tag tags tensor tensors than that the their there this tiff tile
timed to token tokens too top total trailing tree truncated try type types unable unavailable unclosed uncompressed
undefined unexpected unicode unidentified unit unknown unmatched unpack unreadable unrecognised unrecognized unsigned
unsupported unterminated until up used using utf utf-8 valid value values variant verify version very was webp were when
where which while width window with within without would write wrong xml yet you zero zip zlib zstd
"""
WORDS = frozenset(_WORDS.split())
"""What libraries say about files and connections. Another word in a sentence of theirs can be from the file."""

_QUOTED = re.compile(r"""b?'(?![,:;.(){}\[\]]')[^']*'(?!\w)|b?"[^"]*"|`[^`]*`""")  # but a mark of punctuation
_TOKEN = re.compile(r"[^\s.,:;()\[\]{}<>=/\\\\]+")
_NUMBER = re.compile(r"[-+]?[0-9]{1,12}")  # offsets and sizes
_GAPS = re.compile(r"…(?:[\s.,:;()\[\]<>=/]*…)+")


def reason_of(error: BaseException) -> str:
    """The first line of an exception's text, with `…` for whatever may be quoted from a file.

    The system's own words are kept, and the kind of the exception stands for a text of which nothing is left.

    >>> reason_of(SyntaxError("broken PNG file (chunk b'root')"))
    'broken PNG file (chunk …)'
    """
    if isinstance(error, OSError) and error.errno and error.strerror:
        return str(error.strerror)
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not valid {error.encoding}"
    line = next(iter(str(error).splitlines()), "")
    shown = _TOKEN.sub(lambda found: found[0] if _is_ours(found[0]) else "…", _QUOTED.sub("…", line))
    shown = _GAPS.sub("…", shown).strip(" :")
    return shown if any(word.lower() in WORDS for word in _TOKEN.findall(shown)) else type(error).__name__


def _is_ours(token: str) -> bool:
    return token == "…" or token.lower() in WORDS or token == "'" or bool(_NUMBER.fullmatch(token))
