"""A gRPC server whose health is the text of a file: ``health_server.py PORT FILE``; started by the tests."""

import sys
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class FileHealth(health_pb2_grpc.HealthServicer):
    def __init__(self, file: Path) -> None:
        self._file = file

    def Check(self, request: health_pb2.HealthCheckRequest, context: object) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse(status=self._file.read_text().strip())


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(FileHealth(Path(sys.argv[2])), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
