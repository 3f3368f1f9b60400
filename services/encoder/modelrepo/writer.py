"""Writes the model repository, or finds that it is up to date. torch is imported only when there is work."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.encoder.modelrepo.manifest import (
    GRAPH_FILE,
    MANIFEST_FILE,
    MODEL_NAME,
    TOKENIZER_FILE,
    VARIANTS_FOLDER,
    VERSION_FOLDER,
    ModelManifest,
    Variant,
    variant_folder,
    write_text,
)
from services.encoder.modelrepo.source import EncoderSource, resolve, stat_of
from services.encoder.modelrepo.triton_files import BACKEND_FILE, CONFIG_FILE, Serving, backend_text, config_text

EXPORT_RECIPE = 1
"""Raise it when the export changes: repositories written before are written again."""
_LEFTOVER = ".writing-"

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class RepositoryOptions:
    """What to write and how to serve it."""

    model: str | None = None
    """Folder or Hugging Face id of a sentence encoder; none: the packaged default."""
    variant: Variant = Variant.INT8
    """The variant that Triton serves; both are kept."""
    serving: Serving = field(default_factory=Serving)


def write_repository(repository: Path, options: RepositoryOptions, report: Report) -> ModelManifest:
    """Makes ``repository/text_encoder`` serve the wanted variant of the wanted model. Returns its manifest.

    The folder appears whole or not at all, so the command may be killed and run again; two runs at once wait for
    each other; other models in the repository are not touched. Raises ModelRepositoryError.
    """
    repository.mkdir(parents=True, exist_ok=True)
    model = repository / MODEL_NAME
    with _lock(repository):
        _remove_leftovers(repository)
        if not _built(model, options):
            _replace(repository, lambda folder: _build(folder, resolve(options.model), options, report))
        elif not _serves(model, options.variant):
            _replace(repository, lambda folder: _switch(folder, model, options))
        else:
            report(f"model repository is up to date: {repository}")
        manifest = ModelManifest.read(model)
        _refresh(model, manifest, options.serving)
    report(f"serving {MODEL_NAME} {manifest.variant}: {manifest.release_id}, {manifest.dimension} dimensions")
    return manifest


def _built(model: Path, options: RepositoryOptions) -> bool:
    """Whether both variants stand whole and come from the wanted source, unchanged since; the wanted one to the bit."""
    try:
        (model / TOKENIZER_FILE).stat()
        manifests = [ModelManifest.read(variant_folder(model, variant)) for variant in Variant]
        sizes = [(variant_folder(model, variant) / GRAPH_FILE).stat().st_size for variant in Variant]
    except (OSError, ValueError):
        return False
    whole = sizes == [manifest.graph_bytes for manifest in manifests]
    current = all(manifest.recipe == EXPORT_RECIPE for manifest in manifests)
    if not (whole and current and _same_source(manifests[0], options.model)):
        return False
    wanted = variant_folder(model, options.variant)
    return _sha256(wanted / GRAPH_FILE) == ModelManifest.read(wanted).graph_sha256


def _serves(model: Path, variant: Variant) -> bool:
    try:
        manifest = ModelManifest.read(model)
        found = _sha256(model / VERSION_FOLDER / GRAPH_FILE)
    except (OSError, ValueError):
        return False
    return manifest == ModelManifest.read(variant_folder(model, variant)) and found == manifest.graph_sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _same_source(manifest: ModelManifest, model: str | None) -> bool:
    """Compares sizes and times of change; where those differ (another installation), the contents."""
    if _recorded(manifest, model):
        try:
            if stat_of(Path(manifest.source_folder)) == manifest.source_stat:
                return True
        except OSError:
            pass
    source = resolve(model)
    return source.source == manifest.source and source.sha256() == manifest.source_sha256


def _recorded(manifest: ModelManifest, model: str | None) -> bool:
    """Whether the manifest was made from what ``model`` names."""
    if not model:
        return manifest.source.startswith("package:")
    folder = Path(model).expanduser()
    return manifest.source == (f"folder:{folder.resolve()}" if folder.is_dir() else f"huggingface:{model}")


def _build(model: Path, source: EncoderSource, options: RepositoryOptions, report: Report) -> None:
    from services.encoder.modelrepo.build import build_variants

    report(f"writing the text encoder from {source.source}")
    build_variants(source, model, EXPORT_RECIPE, report)
    _serve(model, options.variant, options.serving)


def _switch(folder: Path, model: Path, options: RepositoryOptions) -> None:
    """The same model, another variant: nothing is exported again."""
    shutil.copytree(model / VARIANTS_FOLDER, folder / VARIANTS_FOLDER, copy_function=_link)
    shutil.copy2(model / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    _serve(folder, options.variant, options.serving)


def _serve(model: Path, variant: Variant, serving: Serving) -> None:
    """Puts the variant where Triton and the encoder service look."""
    chosen = variant_folder(model, variant)
    (model / VERSION_FOLDER).mkdir()
    # A copy, so that what happens to the graph that is served can be repaired without an export.
    shutil.copy2(chosen / GRAPH_FILE, model / VERSION_FOLDER / GRAPH_FILE)
    shutil.copy2(chosen / MANIFEST_FILE, model / MANIFEST_FILE)
    _refresh(model, ModelManifest.read(model), serving)


def _link(source: str | Path, target: str | Path) -> None:
    """Two names for one graph; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(repository: Path, write: Callable[[Path], None]) -> None:
    """Writes into a hidden folder on the same file system, then moves the whole model into place."""
    place = repository / MODEL_NAME
    with tempfile.TemporaryDirectory(prefix=_LEFTOVER, dir=repository) as name:
        folder = Path(name) / "new"
        folder.mkdir()
        write(folder)
        if place.exists():
            place.rename(Path(name) / "old")
        folder.rename(place)


def _refresh(model: Path, manifest: ModelManifest, serving: Serving) -> None:
    """Brings the two small files up to date: settings and this program's own backend may have changed."""
    wanted = {
        model / CONFIG_FILE: config_text(manifest, serving),
        model / VERSION_FOLDER / BACKEND_FILE: backend_text(),
    }
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            write_text(path, text)


def _remove_leftovers(repository: Path) -> None:
    """Scratch folders of runs that were killed; nobody else writes while the lock is held."""
    for path in repository.glob(f"{_LEFTOVER}*"):
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock(repository: Path) -> Iterator[None]:
    descriptor = os.open(repository / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
