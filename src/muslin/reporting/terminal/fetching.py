"""What `muslin fetch` is about to do, and what it and `muslin fill` came to, in a few lines."""

from collections.abc import Mapping

from muslin.catalogue.fill_result import FillResult
from muslin.fetching.fetch_result import FetchResult
from muslin.text import plural, word_list

MAX_HOSTS = 20
"""Lines of a list of hosts."""


def host_list(hosts: Mapping[str, int]) -> list[str]:
    """A line for each host with the number of its photos; a port is there where it is an unusual one."""
    width = max((len(f"{count:,}") for count in hosts.values()), default=0)
    lines = [f"  {count:>{width},} from {host}" for host, count in list(hosts.items())[:MAX_HOSTS]]
    more = list(hosts.values())[MAX_HOSTS:]
    return [*lines, *([f"  {sum(more):,} from {plural(len(more), 'more host')}"] if more else [])]


def fetch_summary(result: FetchResult) -> str:
    """A few lines, such as:

    `9,700 of 9,780 photos are in shop: 9,200 fetched (1.2 GB), 500 were there`
    """
    lines = [
        f"{result.photos:,} of {plural(result.addresses, 'photo')} in {result.out.parent}: {result.fetched:,} fetched "
        f"({_size(result.bytes)}), {result.kept:,} were there"
    ]
    if result.failures:
        missing = sum(n for n, _ in result.failures.values())
        lines.append(f"{plural(missing, 'photo')} missing, listed with the reason in {result.failed}:")
        lines += [f"  {n:,}: {example}" for n, example in result.failures.values()]
    photos = f"column {result.column}, of {word_list(list(result.columns))}"
    lines.append(
        f"wrote {result.out}: {result.rows_with_photo:,} of {plural(result.rows, 'row')} with photos, {photos}"
    )
    return "\n".join(lines)


def fill_summary(result: FillResult) -> str:
    """One line, such as `column Type: 812 of 1,020 rows filled, 96 had a value of their own, 40 not accepted`."""
    parts = [f"{result.filled:,} of {plural(result.rows, 'row')} filled"]
    for count, words in (
        (result.equal, "had the same value"),
        (result.kept, "had another value, which was kept"),
        (result.not_accepted, "have a tag that is not accepted"),
    ):
        parts += [f"{count:,} {words}"] if count else []
    return f"column {result.column}: {', '.join(parts)}\nwrote {result.out}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"
