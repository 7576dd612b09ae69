"""Gets the official Fashion-MNIST from wherever it can be had and, verified, into the user's cache."""

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fmnist.data.cache import Cache, KnownFile, Progress, Unavailable, default_cache_dir
from fmnist.data.download import DebianPackage, Folder, Mirror, Source
from fmnist.data.idx import read_content
from fmnist.errors import InputError, RunError

logger = logging.getLogger(__name__)

# Of the data since 31 August 2017, without the duplicates between training and test set of the first release.
# Decompressed content: the same images are about with different gzip headers.
OFFICIAL_FILES = (
    KnownFile("train-images-idx3-ubyte", 47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    KnownFile("train-labels-idx1-ubyte", 60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    KnownFile("t10k-images-idx3-ubyte", 7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    KnownFile("t10k-labels-idx1-ubyte", 10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)
FILE_NAMES = tuple(file.name for file in OFFICIAL_FILES)
OFFICIAL_CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
PACKAGE = "dataset-fashion-mnist"
PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")
ADDRESSES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
_GZIPPED = "\n".join(f"  {name}.gz" for name in FILE_NAMES)
NOWHERE = f"""the Fashion-MNIST data could not be had from any source:
{{reasons}}
To give it by hand, put the four files
{_GZIPPED}
(decompressed will do too) into a folder and name it with --data-dir FOLDER or FMNIST_DATA=FOLDER;
on Debian and Ubuntu `apt-get install {PACKAGE}` does it."""


@dataclass(frozen=True)
class OfficialData:
    """The verified, decompressed content of each official file, and one line on where it came from."""

    contents: dict[str, bytearray]
    source: str


def default_sources(cache: Cache) -> tuple[Source, ...]:
    """Return the places the official files are looked for, in this order, when the cache lacks some."""
    return (
        Folder(PACKAGE_FOLDER),
        *(Mirror(address) for address in ADDRESSES),
        DebianPackage(PACKAGE, str(PACKAGE_FOLDER).lstrip("/"), cache),
    )


def obtain(
    *,
    files: tuple[KnownFile, ...] | None = None,
    cache: Cache | None = None,
    sources: Sequence[Source] | None = None,
    progress: Progress | None = None,
) -> OfficialData:
    """Return the official files from the cache, after fetching into it what is missing or damaged there.

    Every byte returned has been verified. A cache that can't be written costs only time. With `FMNIST_OFFLINE` set in
    the environment, sources that need a network are left out.

    By default the files are the four of Fashion-MNIST, the cache is `fashion-mnist` in the user's, and the sources are
    `default_sources`, asked in turn.

    Raises:
        RunError: no source had them; lists every one with its reason.
    """
    files = files or OFFICIAL_FILES
    cache = cache or Cache(default_cache_dir() / "fashion-mnist")
    contents, _ = _read_cache(cache, files)
    if len(contents) == len(files):
        return OfficialData(contents, f"official Fashion-MNIST from the cache {cache.folder}")
    # The system's package goes into the cache too: read in place, unpacking it costs 0.4 s a start instead of 0.1 s.
    with cache.lock(progress):
        return _fetch(files, cache, default_sources(cache) if sources is None else sources, progress)


def _fetch(
    files: tuple[KnownFile, ...], cache: Cache, sources: Sequence[Source], progress: Progress | None
) -> OfficialData:
    cache.remove_leftovers()
    contents, damages = _read_cache(cache, files)  # again: another process may have filled it while we waited
    for damage in damages:
        logger.warning("%s in the cache %s; fetching it again", damage, cache.folder)
    lacking = ", ".join(file.name for file in files if file.name not in contents)
    reasons = [f"the cache {cache.folder}: {'; '.join(damages) or f'lacks {lacking}'}"]
    origins = [f"the cache {cache.folder}"] if contents else []
    writable = True
    for source in sources:
        missing = [file for file in files if file.name not in contents]
        if not missing:
            break
        try:
            if source.network and os.environ.get("FMNIST_OFFLINE", "0") not in ("", "0"):
                raise Unavailable("not tried, since FMNIST_OFFLINE is set")
            with contextlib.closing(source.fetch(missing, progress)) as fetched:
                for file, received in fetched:
                    contents[file.name] = _verified(file, received)
                    writable = writable and _stored(cache, file, contents[file.name])
        except Unavailable as reason:
            reasons.append(f"{source}: {reason}")
        if any(file.name in contents for file in missing):
            origins.append(str(source))
    if any(file.name not in contents for file in files):
        raise RunError(NOWHERE.format(reasons="\n".join(f"  - {reason}" for reason in reasons)))
    return OfficialData(contents, f"official Fashion-MNIST from {' and '.join(origins)}")


def _read_cache(cache: Cache, files: tuple[KnownFile, ...]) -> tuple[dict[str, bytearray], list[str]]:
    """Return the good files' contents, and what is wrong with the others that are there."""
    contents, damages = {}, []
    for file in files:
        try:
            if (content := cache.read(file)) is not None:
                contents[file.name] = content
        except Unavailable as damage:
            damages.append(str(damage))
    return contents, damages


def _verified(file: KnownFile, received: bytes) -> bytearray:
    try:
        content = read_content(received, name=file.name, limit=file.size)
    except InputError as error:
        raise Unavailable(str(error)) from error
    file.check(content)
    return content


def _stored(cache: Cache, file: KnownFile, content: bytearray) -> bool:
    try:
        cache.store(file, content)
    except RunError as error:
        logger.warning("%s; going on without the cache, so the next start has to fetch the data again", error)
        return False
    return True
