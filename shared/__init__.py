"""What two or more services use: server bootstrap, interceptors, errors, settings, PostgreSQL, telemetry."""

import os

# gRPC's core writes lines of its own, which are not JSON, whenever a peer goes away. It reads this while it is
# imported, so it must be set before; every service imports this package first.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
