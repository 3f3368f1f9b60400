"""Which units run here, on which ports, with which environment. The only place that names unit classes."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict

from services.supervisor.adapters.certificates import CertificateAuthority
from services.supervisor.adapters.data_folder import DataFolder
from services.supervisor.adapters.envoy.unit import EnvoyPlace, EnvoyUnit
from services.supervisor.adapters.grpc_service import GrpcServiceUnit, Identity
from services.supervisor.adapters.milvus import MilvusUnit
from services.supervisor.adapters.postgres import PostgresUnit
from services.supervisor.adapters.tcp_ports import LOOPBACK, PortBook
from services.supervisor.adapters.triton import TritonSettings, TritonUnit
from services.supervisor.errors import SupervisorError
from services.supervisor.http_settings import HttpSettings
from services.supervisor.ports import Unit
from services.supervisor.services import CALLERS, FRONT, SERVICES, SUPERVISOR, UNITS
from services.supervisor.settings import SupervisorSettings


@dataclass(frozen=True)
class Plan:
    """Units to run, addresses of what others run, and the environment for all."""

    units: dict[str, Unit]
    external: dict[str, str]
    environment: dict[str, str]
    authority: CertificateAuthority | None = None
    """Who issues the certificates of the units; None: plain text."""


def plan(settings: SupervisorSettings, folder: DataFolder, only: Collection[str] | None) -> Plan:
    """Chooses ports (kept for the next run) and builds the units.

    Raises PortTaken, and SupervisorError when ``only`` names something that is no unit.
    """
    if unknown := set(only or ()) - set(UNITS):
        raise SupervisorError(f"no such unit: {', '.join(sorted(unknown))} (units: {', '.join(UNITS)})")
    return _Planner(settings, folder, set(UNITS if only is None else only)).make()


class _Planner:
    """Fills one plan; every method adds one kind of unit."""

    def __init__(self, settings: SupervisorSettings, folder: DataFolder, wanted: set[str]) -> None:
        self._settings = settings
        self._folder = folder
        self._wanted = wanted
        self._book = PortBook(folder.run / "ports.json")
        environment = {"MERCATO_DATA": str(folder.root), "MERCATO_ENCODER_MODEL_REPOSITORY": str(settings.repository)}
        self._authority = CertificateAuthority(folder.root / "tls") if settings.tls else None
        if self._authority:
            environment["MERCATO_CA"] = str(self._authority.certificate_file)
        self._plan = Plan({}, {}, environment, self._authority)

    def make(self) -> Plan:
        """The whole plan; the environment is complete before a service unit copies it."""
        self._add_postgres()
        self._add_triton()
        self._add_milvus()
        addresses = {name: self._name_service(name) for name in SERVICES if name in self._wanted}
        for name, address in addresses.items():
            identity = self._identity(name)
            self._plan.units[name] = GrpcServiceUnit(name, address, SERVICES[name], self._plan.environment, identity)
        self._add_envoy()
        self._book.save()
        return self._plan

    def _add_postgres(self) -> None:
        if given := self._settings.postgres_dsn:
            self._external("postgres", _host_and_port(given), "MERCATO_POSTGRES_DSN", given)
        elif "postgres" in self._wanted:
            data, port = self._folder.root / "postgres", self._port("postgres")
            password = self._folder.secret("postgres.password")
            unit = PostgresUnit(data, LOOPBACK, port, password, self._settings.system_user)
            self._embedded(unit, "MERCATO_POSTGRES_DSN", unit.dsn)

    def _add_triton(self) -> None:
        if given := self._settings.triton_address:
            self._external("triton", given, "MERCATO_TRITON_ADDRESS", given)
        elif "triton" in self._wanted:
            triton = TritonSettings(
                repository=self._settings.repository,
                work=self._folder.run / "triton",
                host=LOOPBACK,
                port=self._port("triton"),
                metrics_port=self._metrics_port("triton"),
                model_command=self._settings.model_command,
                traces_url=self._settings.triton_traces_url,
            )
            unit = TritonUnit(triton)
            self._embedded(unit, "MERCATO_TRITON_ADDRESS", unit.address)

    def _add_milvus(self) -> None:
        if given := self._settings.milvus_uri:
            self._external("milvus", given, "MERCATO_MILVUS_URI", given)
        elif "milvus" in self._wanted:
            unit = MilvusUnit(self._folder.root / "milvus", LOOPBACK, self._port("milvus"))
            self._embedded(unit, "MERCATO_MILVUS_URI", f"http://{unit.address}")

    def _add_envoy(self) -> None:
        given = self._settings.http_address
        if "envoy" not in self._wanted or given == "off":
            return
        address, listen = self._listening("envoy", given)
        place = EnvoyPlace(
            listen=listen,
            status=f"{LOOPBACK}:{self._port('envoy-metrics')}",
            gateway=self._plan.environment.get("MERCATO_GATEWAY_ADDRESS", self._settings.gateway_address),
            folder=self._folder.run / "envoy",
            gateway_ca=self._authority.certificate_file if self._authority else None,
        )
        if not is_loopback(listen):  # what comes through the proxy reaches the gateway's loopback
            self._plan.environment["MERCATO_GATEWAY_REQUIRE_AUTHENTICATION"] = "true"
        self._embedded(EnvoyUnit(place, HttpSettings(), FRONT["envoy"], address), "MERCATO_HTTP_ADDRESS", address)
        self._plan.environment["MERCATO_HTTP_METRICS_PORT"] = place.status.rpartition(":")[2]

    def _identity(self, name: str) -> Identity | None:
        """The certificate of a service: the gateway's is also what its customers see."""
        if self._authority is None:
            return None
        issued = self._authority.provide(name)
        environment = issued.environment()
        if name in CALLERS:
            environment[f"MERCATO_{name.upper()}_ALLOWED_CLIENTS"] = json.dumps([*CALLERS[name], SUPERVISOR])
        else:
            environment["MERCATO_GATEWAY_PUBLIC_CERTIFICATE"] = str(issued.certificate)
            environment["MERCATO_GATEWAY_PUBLIC_KEY"] = str(issued.key)
        return Identity(self._authority, environment, self._authority.provide(SUPERVISOR))

    def _external(self, name: str, address: str, key: str, value: str) -> None:
        self._plan.external[name] = address
        self._plan.environment[key] = value

    def _embedded(self, unit: Unit, key: str, value: str) -> None:
        self._plan.units[unit.name] = unit
        self._plan.environment[key] = value

    def _name_service(self, name: str) -> str:
        """Chooses where a service listens; returns the address at which others reach it."""
        given = self._settings.gateway_address if name == "gateway" else f"{LOOPBACK}:0"
        address, listen = self._listening(name, given)
        prefix = f"MERCATO_{name.upper()}"
        self._plan.environment[f"{prefix}_LISTEN"] = listen
        self._plan.environment[f"{prefix}_ADDRESS"] = address
        self._plan.environment[f"{prefix}_METRICS_PORT"] = str(self._metrics_port(name))
        return address

    def _listening(self, name: str, given: str) -> tuple[str, str]:
        """Where a unit is reached from here and where it listens, its port chosen where ``given`` has none."""
        host, _, text = given.rpartition(":")
        fixed = int(text) or self._settings.ports.get(name, 0)
        port = self._book.configured(name, fixed, host) if fixed else self._book.choose(name)
        reached = LOOPBACK if host in ("0.0.0.0", "", "[::]") else host  # noqa: S104 - compared, not bound
        return f"{reached}:{port}", f"{host or LOOPBACK}:{port}"

    def _port(self, name: str) -> int:
        fixed = self._settings.ports.get(name)
        return self._book.configured(name, fixed) if fixed else self._book.choose(name)

    def _metrics_port(self, name: str) -> int:
        """A port for Prometheus, 0 when metrics are off."""
        return self._port(f"{name}-metrics") if self._settings.metrics else 0


def is_loopback(listen: str) -> bool:
    """Whether only programs of this machine reach ``host:port``."""
    host = listen.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def _host_and_port(dsn: str) -> str:
    """Where a connection string points, without its password."""
    parts = conninfo_to_dict(dsn)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"
