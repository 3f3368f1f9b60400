"""Finds the Triton server of the pytriton wheel and lays out what its Python backend expects."""

import importlib.util
import os
import platform
import sys
import sysconfig
from pathlib import Path

from services.supervisor.errors import Unrecoverable

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the kernel's shared memory, where Triton keeps its regions


class TritonInstall:
    """The server's programs and the environment they need. Raises Unrecoverable where Triton cannot run."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("pytriton")
        if found is None or found.origin is None:
            raise Unrecoverable(
                "the package nvidia-pytriton is not installed: install it or set MERCATO_TRITON_ADDRESS"
            )
        package = Path(found.origin).parent
        self._server = package / "tritonserver"
        self._libraries = package.with_name("nvidia_pytriton.libs")
        self._python_library = _python_library()
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self._stub = self._server / "python_backend_stubs" / version / "triton_python_backend_stub"
        if not self._stub.exists():
            raise Unrecoverable(
                f"the Triton package has no Python backend for Python {version} on {platform.machine()}"
            )

    @property
    def program(self) -> Path:
        """The server."""
        return self._server / "bin" / "tritonserver"

    def environment(self) -> dict[str, str]:
        """The models run in this environment's interpreter, so nothing may point Python elsewhere."""
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
        programs = str(Path(sys.executable).parent)
        return {
            # One thread an instance: more double the CPU of a text without being faster.
            "OMP_NUM_THREADS": "1",
            **kept,
            "PATH": os.pathsep.join([programs, kept.get("PATH", os.defpath)]),
            "LD_LIBRARY_PATH": os.pathsep.join([str(self._python_library), str(self._libraries)]),
        }

    def link_backends(self, folder: Path) -> None:
        """Makes ``folder`` a backend directory; the links follow the environment when it moved."""
        target = folder / "python"
        target.mkdir(parents=True, exist_ok=True)
        backend = self._server / "backends" / "python"
        sources = [backend / "libtriton_python.so", backend / "triton_python_backend_utils.py", self._stub]
        for source in sources:
            link = target / source.name
            if not (link.is_symlink() and link.readlink() == source):
                link.unlink(missing_ok=True)
                link.symlink_to(source)


def clear_shared_memory(prefix: str) -> None:
    """Removes the regions that a killed server left; the memory stays taken until then."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _python_library() -> Path:
    """The folder of this interpreter's shared library, which the Python backend loads."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    configured = sysconfig.get_config_var("LIBDIR") or ""
    machine = sysconfig.get_config_var("MULTIARCH") or ""
    base = Path(sys.base_prefix) / "lib"
    for folder in (
        base,
        base / machine,
        Path(configured),
        Path(configured) / machine,
        Path("/usr/lib") / machine,
    ):
        if (folder / name).exists():
            return folder
    raise Unrecoverable(
        f"{name} is missing: Triton's Python backend needs a Python built with a shared library "
        "(Debian: the package of that name; pyenv: --enable-shared), or set MERCATO_TRITON_ADDRESS"
    )
