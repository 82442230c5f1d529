"""Images in archives: tar (also WebDataset), zip and parquet files are written as a temporary folder of identities.

| archive | identity of an image |
|---|---|
| tar, zip | its folder: `identity/image.jpg`; folders that all images share are left out |
| tar or zip with `key.jpg` beside `key.cls` (WebDataset) | the text of `key.cls` |
| parquet | the column `label`, or the one that is named |
"""

from __future__ import annotations

import contextlib
import os
import re
import tarfile
import zipfile
from functools import partial
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from arcface_mx.data.image_files import is_image_name, natural_key
from arcface_mx.data.pack.unpack import suffix
from arcface_mx.util.errors import UserError, printable
from arcface_mx.util.files import temporary_directory

TAR, ZIP, PARQUET = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), (".zip",), (".parquet",)
ARCHIVES = TAR + ZIP + PARQUET
TEMPORARY = ".unpacked-"  # begins the name of a temporary folder
MAX_BYTES = 1 << 28  # of an image; a larger one is damage or an attack

Member = Tuple[str, Callable[[], bytes]]  # path inside the archive, and a function that reads it


class Images:
    """Where the images of a source lie.

    Attributes
    ----------
    folder : str
        The source itself, or the temporary folder of an archive.
    """

    def __init__(self, source: str, folder: str) -> None:
        self.folder = folder
        self._source = source

    def shown(self, text: str) -> str:
        """Return a message with the archive in place of the temporary folder."""
        return text if self.folder == self._source else text.replace(self.folder, self._source)


@contextlib.contextmanager
def opened(source: str, place: str, label_column: Optional[str] = None) -> Iterator[Images]:
    """Yield the images of an archive, of a folder of archives, or of anything else as it is.

    Parameters
    ----------
    source : str
        An archive, a folder that contains archives and no images, or what `images_by_identity` reads.
    place : str
        The folder for temporary files; they need as much space as the images.
    label_column : str, optional
        Column of a parquet file that names the identity.

    Raises
    ------
    UserError
        If an archive is damaged, or its images have no identity. Errors of the block name the archive.
    """
    archives = _archives(source)
    if not archives:
        yield Images(source, source)
        return
    os.makedirs(place, exist_ok=True)
    with temporary_directory(TEMPORARY, place) as folder:
        images = Images(source, folder)
        rows = 0
        for archive in archives:
            if archive.lower().endswith(PARQUET):
                rows = _write_table(archive, folder, label_column, rows)
            else:
                _write_members(archive, folder)
        try:
            yield images
        except UserError as error:
            raise UserError(images.shown(str(error))) from error


def _archives(source: str) -> List[str]:
    """The archives that a source consists of; empty if it is none."""
    if os.path.isfile(source):
        return [source] if source.lower().endswith(ARCHIVES) else []
    if not os.path.isdir(source):
        return []
    names = [name for name in os.listdir(source) if not name.startswith(".")]
    if any(os.path.isdir(os.path.join(source, name)) or is_image_name(name) for name in names):
        return []
    return [os.path.join(source, name) for name in sorted(names, key=natural_key) if name.lower().endswith(ARCHIVES)]


def _write_members(archive: str, folder: str) -> None:
    """Write the images of a tar or zip file below `folder`, by identity."""
    try:
        with _open(archive) as members:
            files = {}
            for path, read in members:
                if path in files:
                    raise UserError(f"{archive}: contains {printable(path)} twice")
                files[path] = read
            images = [path for path in files if is_image_name(path)]
            for path, target in _targets(archive, images, files).items():
                _write(archive, folder, target, files[path]())
    except (OSError, EOFError, RuntimeError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{archive}: cannot be read: {error}") from error


@contextlib.contextmanager
def _open(archive: str) -> Iterator[Iterator[Member]]:
    if archive.lower().endswith(ZIP):
        with zipfile.ZipFile(archive) as container:
            entries = [entry for entry in container.infolist() if not entry.is_dir()]
            sizes = ((entry.filename, entry.file_size) for entry in entries)
            _check_sizes(archive, sizes)
            yield ((entry.filename, partial(container.read, entry)) for entry in entries)
    else:
        with tarfile.open(archive) as tar:
            members = [member for member in tar.getmembers() if member.isfile()]
            _check_sizes(archive, ((member.name, member.size) for member in members))
            yield ((member.name, partial(_content, tar, member)) for member in members)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    content = stream.read() if stream else b""
    if len(content) != member.size:
        raise EOFError(f"{printable(member.name)} ends early")
    return content


def _check_sizes(archive: str, sizes: Iterator[Tuple[str, int]]) -> None:
    for name, size in sizes:
        if size > MAX_BYTES:
            raise UserError(f"{archive}: {printable(name)} has {size} bytes; an image has at most {MAX_BYTES}")


def _targets(archive: str, images: List[str], files: Dict[str, Callable[[], bytes]]) -> Dict[str, List[str]]:
    """Identity and file name of each image."""
    targets: Dict[str, List[str]] = {}
    parts = {path: [part for part in path.split("/") if part not in ("", ".")] for path in images}
    shared = os.path.commonprefix([part[:-2] for part in parts.values()])
    for path, words in parts.items():
        label = os.path.splitext(path)[0] + ".cls"
        if label in files:
            targets[path] = [files[label]().decode("utf-8", "replace").strip(), "-".join(words)]
        elif len(words) < 2:
            raise UserError(
                f"{archive}: {printable(path)} has no identity; images need a folder (identity/image.jpg) or a file "
                "with the label beside them (image.cls)"
            )
        else:
            targets[path] = words[len(shared) :]
    return targets


def _write_table(archive: str, folder: str, label_column: Optional[str], rows: int) -> int:
    """Write the images of a parquet file below `folder`, by label. Return the number of rows so far."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError(
            f"{archive}: parquet files need pyarrow; run: pip install 'pyarrow<22' (or the extra `parquet`)"
        )
    try:
        table = parquet.ParquetFile(archive)
        names = table.schema_arrow.names
        label = label_column or "label"
        image = next((name for name in names if name in ("image", "jpg", "png", "img")), "")
        if label not in names or not image:
            raise UserError(
                f"{archive}: has the columns {printable(', '.join(names))}; one with images (image) and one with the "
                f"identity ({label}) are needed; set `label_column`"
            )
        for batch in table.iter_batches(256, columns=[image, label]):
            for value, identity in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist()):
                content = value.get("bytes") if isinstance(value, dict) else value
                if not isinstance(content, bytes) or identity is None:
                    raise UserError(f"{archive}: row {rows} has no image bytes or no {printable(label)}")
                _write(archive, folder, [str(identity), f"{rows:09d}{suffix(content)}"], content)
                rows += 1
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{archive}: cannot be read: {printable(str(error))}") from error
    return rows


def _write(archive: str, folder: str, target: List[str], content: bytes) -> None:
    """Write one image; its names come from strangers."""
    for name in target:
        if name in ("", ".", "..") or re.search(r"[/\\\x00-\x1f:]", name) or name.startswith("."):
            raise UserError(f"{archive}: {printable('/'.join(target))!r} cannot be the name of a file")
    path = os.path.join(folder, *target)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileExistsError), open(path, "xb") as stream:
        stream.write(content)
        return
    raise UserError(f"{archive}: the image {printable('/'.join(target))} occurs twice in the archives")
