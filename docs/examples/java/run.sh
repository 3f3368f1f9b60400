#!/usr/bin/env bash
# Makes the client from the contracts, builds the example and runs it: run.sh GATEWAY HTTP TENANT [BUILD_FOLDER]
# Needs Debian's default-jdk-headless, protobuf-compiler, protobuf-compiler-grpc-java-plugin, libgrpc-java,
# libprotobuf-java, libguava-java, libgoogle-gson-java, libnetty-java, libperfmark-java and
# libgeronimo-annotation-1.3-spec-java; elsewhere io.grpc:grpc-netty-shaded, grpc-protobuf and grpc-stub.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
build="${4:-$(mktemp -d)}"
mkdir -p "$build/gen" "$build/classes"
contracts="$(cd "$root/protos" && echo mercato/gateway/v1/*.proto mercato/errors/v1/*.proto)"
# shellcheck disable=SC2086 # words on purpose
protoc --descriptor_set_in="$root/shared/protogen/mercato/gateway/v1/descriptors.binpb" --java_out="$build/gen" \
  --plugin=protoc-gen-grpc-java="$(command -v grpc_java_plugin || command -v protoc-gen-grpc-java)" --grpc-java_out="$build/gen" \
  buf/validate/validate.proto google/api/annotations.proto google/api/http.proto google/type/money.proto \
  google/rpc/status.proto google/rpc/error_details.proto $contracts
jars="$(echo /usr/share/java/{protobuf,protobuf-util,grpc-*,guava,failureaccess,netty-*,perfmark-*,gson,geronimo-annotation-1.3-spec}.jar | tr ' ' :)"
find "$build/gen" -name '*.java' > "$build/sources"
javac -nowarn -Xmaxerrs 20 -encoding UTF-8 -cp "$jars" -d "$build/classes" "@$build/sources" "$here/Example.java"
java -cp "$build/classes:$jars" Example "$1" "$3"
