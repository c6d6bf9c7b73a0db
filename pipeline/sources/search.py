"""What a pattern names: files are listed, and told apart by name, by their first bytes where the name does not tell.

Must not know how files are cut into work units.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from pipeline import sources, storage
from pipeline.concurrency import ahead, pools
from pipeline.errors import UsageError
from pipeline.formatting import counted, left_out
from pipeline.options import ScoreOptions
from pipeline.sources import images, kinds, manifest, parquet_images
from pipeline.sources.container_names import unread_container
from pipeline.sources.idx import is_labels_name
from pipeline.sources.names import is_junk_name, is_other, junk_in, may_be_image
from pipeline.sources.skipped import EMPTY, JUNK, LABELS, NOWHERE, OTHER, Skipped
from pipeline.storage import NO_FILE, StoredObject

WINDOW = 1024
"""Files of a listing, at most, that wait while the unknown ones of them are read from a far store."""


def find(pattern: str, skipped: Skipped, options: ScoreOptions | None = None) -> Iterator[tuple[str, StoredObject]]:
    """Yield what can be scored under a pattern, sorted by location, with its kind, and count what cannot.

    What has no suffix that is known is opened, and is an image if it begins like one. A file that is named, matched by
    a glob, or a shard by its name (train-00000-of-00010) may be a container as well. A manifest is one only where it is
    named. A table (Parquet, NumPy) is opened to see whether it holds images. Junk is what is junk below the input; what
    the input itself names is read all the same.

    Args:
        pattern: location or glob.
        skipped: counts by reason what is not scored.
        options: which columns are meant; None: the defaults.

    Raises:
        PermissionError: a folder, or a file that must be opened, is forbidden.
    """
    location = storage.absolute(pattern)
    fixed = storage.fixed_prefix(location)
    is_glob = fixed != location
    start = len(fixed.rpartition("/")[0] if is_glob else location)  # a folder above it that is named like junk is none
    named = junk_in(location[start:]) if is_glob else ()
    unknown = _Unknown(location, is_glob, skipped, options)
    for found in storage.list_long(location):
        name = found.location[start:]
        if name and is_junk_name(name, named):
            skipped.add(JUNK, storage.key_of(found.location))
        elif found.version == NO_FILE and kinds.kind_by_name(found.location) != images.NAME:
            skipped.add(NOWHERE, storage.key_of(found.location))
        elif (kind := kinds.kind_by_name(found.location)) is not None:
            if not unknown.waiting:
                yield kind, found
                continue
            unknown.waiting.append((kind, found))
        elif unknown.takes(found, name):
            unknown.waiting.append((None, found))
        if unknown.is_full:
            yield from unknown.known()
    yield from unknown.known()


class _Unknown:
    """Files whose names do not tell what they are, and those behind them in the listing, until they are looked into.

    From a disk they are read one by one, from a store where each read costs a round trip many at once.

    Attributes:
        waiting: files in order, with their kind where the name tells it.
    """

    def __init__(self, location: str, is_glob: bool, skipped: Skipped, options: ScoreOptions | None) -> None:
        self.waiting: list[tuple[str | None, StoredObject]] = []
        self._location, self._is_glob, self._skipped = location, is_glob, skipped
        self._image_key = options.image_key if options else None
        self._is_list = options is not None and options.file_column is not None
        self._at_once = storage.store_of(location).parallel_reads
        self._most = 1  # who asks for the first image only does not wait for many

    @property
    def is_full(self) -> bool:
        """Whether it is time to look."""
        return len(self.waiting) >= self._most

    def takes(self, found: StoredObject, name: str) -> bool:
        """Return whether a file is opened to see what it is; count one that is not.

        Args:
            found: as listed.
            name: of it, below the input; "" if the input names it.
        """
        if is_labels_name(found.location):
            self._skipped.add(LABELS, storage.key_of(found.location))  # read with the images beside it
        elif not found.size and kinds.table_by_name(name):
            self._skipped.add(EMPTY, storage.key_of(found.location))
        elif (
            kinds.table_by_name(name)
            or not name
            or self._is_glob
            or (found.size and (may_be_image(name) or kinds.is_shard(name)))
        ):
            return True
        else:
            self._skipped.add(unread_container(found.location) or OTHER, storage.key_of(found.location))
        return False

    def known(self) -> Iterator[tuple[str, StoredObject]]:
        """Look, and yield those that wait with their kinds; count those that are nothing to score."""
        files, self.waiting = self.waiting, []
        with closing(self._heads([found for kind, found in files if kind is None])) as heads:
            for kind, found in files:
                kind = kind or self._kind_inside(found, next(heads))
                if kind is not None:
                    yield kind, found
        if self._at_once > 1:
            self._most = min(self._most * 2, WINDOW)

    def _heads(self, files: Sequence[StoredObject]) -> Generator[bytes, None, None]:
        if self._at_once == 1:
            yield from map(kinds.head_of, files)
        else:
            yield from ahead(kinds.head_of, files, self._at_once - 1, pools().read)

    def _kind_inside(self, found: StoredObject, head: bytes) -> str | None:
        is_named = found.location == self._location
        is_list = is_named and manifest.is_manifest_name(found.location)
        may_be_container = (
            is_named or (self._is_glob and not is_other(found.location)) or kinds.is_shard(found.location)
        )
        table = kinds.table_by_name(found.location) or (kinds.table_by_magic(head) if may_be_container else None)
        if is_list and (table is None or self._is_list or not parquet_images.has_images(found, self._image_key)):
            return manifest.NAME
        if table is not None:
            why = sources.why_no_table(table, found, self._image_key)
            if why is None:
                return table
            self._skipped.add(why, storage.key_of(found.location))
            return None
        why = images.why_none(found.location, head)
        if why is None:
            return images.NAME
        kind = kinds.kind_by_magic(head) if may_be_container else None
        if kind in (None, images.NAME):  # a kind of image that is not read may begin like one that is
            self._skipped.add(why, storage.key_of(found.location))
            return None
        return kind


def find_input(pattern: str, skipped: Skipped, options: ScoreOptions | None) -> Iterator[tuple[str, StoredObject]]:
    """Yield what `find` does for an --input.

    Raises:
        UsageError: a folder, or a file that must be opened, is forbidden.
    """
    try:
        yield from find(pattern, skipped, options)
    except PermissionError as error:
        text = f"--input {pattern!r} cannot be read: {error}"
        raise UsageError(f"{text}; give yourself the right to read it, or leave it out") from error


def require_input(pattern: str, options: ScoreOptions | None = None) -> None:
    """Check that a pattern names at least one image or container of images.

    Args:
        pattern: location or glob of an input.
        options: which columns of a list are meant; None: the defaults.

    Raises:
        UsageError: it does not; the text says what is there instead.
    """
    skipped = Skipped()
    kind, found = next(find_input(pattern, skipped, options), (None, None))
    if found is not None:
        if kind == manifest.NAME:
            with closing(manifest.listed(found, options)) as files:
                next(files)
        return
    if skipped:
        whole, which = counted(skipped.total, "file"), ", ".join(left_out(why, n) for why, n in skipped.counts.items())
        raise UsageError(
            f"--input {pattern!r} has no image or archive of images among its {whole} ({which}); "
            f"Nightscore reads {', '.join(kinds.KNOWN)}"
        )
    location = storage.absolute(pattern)
    if storage.fixed_prefix(location) != location:
        raise UsageError(f"--input {pattern!r} matches no file; check the pattern, and quote it in a shell")
    raise UsageError(f"--input {pattern!r} does not exist or is empty; give a file, folder or glob of images")
