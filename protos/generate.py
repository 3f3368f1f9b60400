"""Generates Python from the contracts and checks them, offline.

`python protos/generate.py` writes `shared/protogen`, the descriptors of the public contract among it, and
`docs/openapi.yaml`; `--check` proves that what is committed is fresh; `--lint` runs `buf format` and `buf lint`;
`--breaking REF` compares with the contracts at a git revision. The descriptors of `buf.validate` come from the
protovalidate wheel, those of `google.*` from googleapis-common-protos and grpcio-tools, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import ast
import filecmp
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.type import money_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PROTOGEN = ROOT / "shared" / "protogen"
OPENAPI = ROOT / "docs" / "openapi.yaml"
VALIDATE = "buf/validate/validate.proto"
GATEWAY = "mercato/gateway/v1"
DESCRIPTORS = f"{GATEWAY}/descriptors.binpb"
"""The public contract with everything that it and its errors name, for proxies that turn HTTP and JSON into gRPC."""
DETAILS = ("google/rpc/status.proto", "google/rpc/error_details.proto")
PLUGINS = (
    "--python_out={out}",
    "--grpc_python_out={out}",
    "--mypy_out=quiet:{out}",
    "--mypy_grpc_out=quiet,only_async:{out}",
)


def contract_files(root: Path) -> list[str]:
    """Paths of all contracts below `root`, relative to it, sorted."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.proto"))


def validate_descriptor() -> descriptor_pb2.FileDescriptorSet:
    """The descriptor of `buf/validate/validate.proto`, taken from the module that the protovalidate wheel carries."""
    spec = find_spec("protovalidate")
    if spec is None or spec.origin is None:
        raise SystemExit("protovalidate is not installed; run `make install`")
    source = Path(spec.origin).parent / "_gen" / "buf" / "validate" / "validate_pb.py"
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "file_desc":
            serialized = ast.literal_eval(node.args[0])
            return descriptor_pb2.FileDescriptorSet(
                file=[
                    _well_known("google/protobuf/descriptor.proto"),
                    _well_known("google/protobuf/duration.proto"),
                    _well_known("google/protobuf/timestamp.proto"),
                    _well_known("google/protobuf/field_mask.proto"),
                    descriptor_pb2.FileDescriptorProto.FromString(serialized),
                ]
            )
    raise SystemExit(f"no file descriptor in {source}: protovalidate has changed its layout")


def _well_known(name: str) -> descriptor_pb2.FileDescriptorProto:
    from google.protobuf import descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2

    del duration_pb2, field_mask_pb2, timestamp_pb2  # imported to register their files
    proto = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(proto)
    return proto


def protoc(arguments: list[str], contracts: Path, work: Path) -> None:
    """Runs protoc over `contracts` with every import at hand; raises SystemExit with its message."""
    descriptors = work / "validate.binpb"
    descriptors.write_bytes(validate_descriptor().SerializeToString())
    google = Path(money_pb2.__file__).parent.parent.parent
    well_known = Path(str(resources.files("grpc_tools"))) / "_proto"
    # protoc looks for its plugins beside this interpreter first.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={descriptors}"]
    command += [f"-I{contracts}", f"-I{google}", f"-I{well_known}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def generate(target: Path) -> None:
    """Writes the Python code of all contracts and the descriptors of the public one into the empty folder `target`."""
    contracts = contract_files(PROTOS)
    public = [path for path in contracts if path.startswith(f"{GATEWAY}/")]
    with tempfile.TemporaryDirectory() as work:
        plugins = [plugin.format(out=target) for plugin in PLUGINS]
        protoc([*plugins, *contracts], PROTOS, Path(work))
        protoc([f"--python_out={target}", f"--pyi_out={target}", VALIDATE], PROTOS, Path(work))
        protoc(["--include_imports", "-o", str(target / DESCRIPTORS), *public, *DETAILS], PROTOS, Path(work))
    for package in ("mercato", "buf"):
        for folder in [target / package, *(target / package).rglob("*")]:
            if folder.is_dir():
                (folder / "__init__.py").touch()
    for stub in target.rglob("*_pb2_grpc.py*"):
        # A file without services has an empty stub; leave no noise.
        if "class " not in stub.read_text():
            stub.unlink()


def replace(made: Path, target: Path) -> None:
    """Makes `target` equal to `made`, touching only what differs: what runs beside it never finds the folder empty."""
    wanted = {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    for path in [path for path in target.rglob("*") if path.is_file() and "__pycache__" not in path.parts]:
        if path.relative_to(target) not in wanted:
            path.unlink()
    for name in sorted(wanted):
        old, new = target / name, made / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            draft = old.with_name(f".{old.name}.new")
            shutil.copyfile(new, draft)
            draft.replace(old)


def image(contracts: Path, work: Path, name: str, others: tuple[str, ...] = ()) -> Path:
    """Builds a buf image of all contracts below `contracts`, and of `others`."""
    built = work / name
    files = [*contract_files(contracts), *others]
    protoc(["--include_source_info", "--include_imports", "-o", str(built), *files], contracts, work)
    return built


def buf(*arguments: str) -> int:
    """Runs buf from this environment; returns its exit status."""
    return subprocess.run([str(Path(sys.executable).parent / "buf"), *arguments], cwd=ROOT, check=False).returncode


def openapi(*arguments: str) -> int:
    """Writes `docs/openapi.yaml` from the contracts with their comments, or checks it; returns the exit status."""
    with tempfile.TemporaryDirectory() as work:
        built = image(PROTOS, Path(work), "image.binpb", DETAILS)
        command = [sys.executable, "-m", "protos.openapi", str(built), str(OPENAPI), *arguments]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def lint() -> int:
    """`buf format` and `buf lint`; 0 when clean."""
    with tempfile.TemporaryDirectory() as work:
        built = image(PROTOS, Path(work), "image.binpb")
        return buf("format", "protos", "--diff", "--exit-code") or buf("lint", str(built), "--path", "mercato")


def breaking(reference: str) -> int:
    """`buf breaking` against the contracts at a git revision; 0 when compatible or nothing to compare."""
    command = ["git", "archive", reference, "protos"]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        sys.stderr.write(f"no contracts at {reference}: nothing to compare with\n")
        return 0
    with tempfile.TemporaryDirectory() as work:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(work, filter="data")
        before = image(Path(work) / "protos", Path(work), "before.binpb")
        now = image(PROTOS, Path(work), "now.binpb")
        return buf("breaking", str(now), "--against", str(before), "--path", "mercato")


def check() -> int:
    """0 when the committed code and the OpenAPI document equal what the contracts generate."""
    with tempfile.TemporaryDirectory() as work:
        generate(Path(work))
        stale = _differences(filecmp.dircmp(work, PROTOGEN, ignore=["__pycache__"]))
    for name in stale:
        sys.stderr.write(f"shared/protogen is stale: {name}\n")
    if stale:
        sys.stderr.write("run `make protos` and commit the result\n")
    return openapi("--check") or (1 if stale else 0)


def _differences(folders: filecmp.dircmp[str]) -> list[str]:
    _, changed, unreadable = filecmp.cmpfiles(folders.left, folders.right, folders.common_files, shallow=False)
    found = [*folders.left_only, *folders.right_only, *changed, *unreadable]
    for child in folders.subdirs.values():
        found += _differences(child)
    return found


def main() -> int:
    """Parses the arguments and does the one thing asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--check", action="store_true", help="prove that shared/protogen is fresh")
    actions.add_argument("--lint", action="store_true", help="buf format and buf lint")
    actions.add_argument("--format", action="store_true", help="rewrite the contracts in buf's format")
    actions.add_argument("--breaking", metavar="REF", help="compare with the contracts at a git revision")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    if arguments.lint:
        return lint()
    if arguments.format:
        return buf("format", "protos", "--write")
    if arguments.breaking:
        return breaking(arguments.breaking)
    with tempfile.TemporaryDirectory() as work:
        generate(Path(work))
        replace(Path(work), PROTOGEN)
    if openapi():
        return 1
    sys.stdout.write(
        f"generated {len(contract_files(PROTOS))} contracts into shared/protogen, {OPENAPI.relative_to(ROOT)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
