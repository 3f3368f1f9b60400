import json
import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from services.supervisor.adapters.data_folder import DataFolder, lock_holder, read_json, write_atomically
from services.supervisor.adapters.logs import BoundedLog
from services.supervisor.adapters.tcp_ports import HIGHEST, LOWEST, PortBook
from services.supervisor.errors import DataFolderLocked, PortTaken, SupervisorError


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "data"):
        assert lock_holder(tmp_path / "data") == os.getpid()
        with pytest.raises(DataFolderLocked, match=rf"\(process {os.getpid()}\)"), DataFolder(tmp_path / "data"):
            pytest.fail("a second holder")
    assert lock_holder(tmp_path / "data") is None
    with DataFolder(tmp_path / "data"):
        pass


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SupervisorError, match=f"data folder {tmp_path}/file/data: Not a directory"):
        DataFolder(tmp_path / "file" / "data").__enter__()


def test_a_secret_stays_and_is_the_owners_only(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as folder:
        secret = folder.secret("postgres.password")
        assert folder.secret("postgres.password") == secret
    assert len(secret) >= 24
    assert stat.S_IMODE((tmp_path / "run" / "postgres.password").stat().st_mode) == 0o600


def test_state_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_atomically(file, json.dumps({"units": []}))
    assert read_json(file) == {"units": []}
    file.write_text('{"units": [')
    assert read_json(file) == {}
    assert read_json(tmp_path / "none.json") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_ports_are_distinct_and_the_same_next_time(tmp_path: Path) -> None:
    first = PortBook(tmp_path / "ports.json")
    ports = [first.choose(name) for name in ("a", "b", "c")]
    first.save()
    assert len(set(ports)) == 3
    assert all(LOWEST <= port < HIGHEST for port in ports)
    second = PortBook(tmp_path / "ports.json")
    assert [second.choose(name) for name in ("a", "b", "c")] == ports


def test_a_taken_port_is_refused_or_replaced(tmp_path: Path) -> None:
    import socket

    book = PortBook(tmp_path / "ports.json")
    port = book.choose("a")
    book.save()
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(PortTaken, match=f"gateway: cannot listen on port {port} "):
            book.configured("gateway", port)
        assert PortBook(tmp_path / "ports.json").choose("a") != port


def test_a_log_stays_within_its_bound_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "unit.log", limit_bytes=100)
    with log.open() as descriptor:
        os.write(descriptor, b"old\n" * 50)
        log.bound()
        os.write(descriptor, b"new\n")
    assert log.tail() == ["new"]
    assert (tmp_path / "unit.log.1").read_bytes() == b"old\n" * 50
    log.bound()
    assert log.tail() == ["new"]


def test_a_log_on_a_full_disk_loses_its_line_and_nothing_else() -> None:
    BoundedLog(Path("/dev/full")).write("a line")


def test_a_file_that_could_not_be_written_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    write_atomically(tmp_path / "state.json", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(tmp_path / "state.json", "new" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert (tmp_path / "state.json").read_text() == "old"
