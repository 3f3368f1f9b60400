#!/usr/bin/env bash
# Makes the client from the contracts, builds the example and runs it: run.sh GATEWAY HTTP TENANT [BUILD_FOLDER]
# Needs Debian's golang-go, protobuf-compiler, protoc-gen-go-1-5, protoc-gen-go-grpc, golang-google-grpc-dev,
# golang-google-genproto-dev, golang-google-protobuf-dev and golang-github-golang-protobuf-1-5-dev; with modules, the
# same packages by `go get`.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
build="${4:-$(mktemp -d)}"
out="$build/src/example/gen"
mkdir -p "$out"
contracts="$(cd "$root/protos" && echo mercato/gateway/v1/*.proto mercato/errors/v1/*.proto)"
# The contracts name no Go packages: one for each package of theirs is named here.
mapped=""
for file in buf/validate/validate.proto $contracts; do
  mapped+="M$file=example/gen/$(dirname "$file"),"
done
# shellcheck disable=SC2086 # words on purpose
protoc --descriptor_set_in="$root/shared/protogen/mercato/gateway/v1/descriptors.binpb" \
  --go_out="$build/src" --go_opt="${mapped%,}" --go-grpc_out="$build/src" --go-grpc_opt="${mapped%,}" \
  buf/validate/validate.proto $contracts
cp "$here/example.go" "$build/src/example/"
export GO111MODULE=off GOPATH="$build:/usr/share/gocode" GOCACHE="${GOCACHE:-${HOME:-$build}/.cache/go-build}"
go build -o "$build/example" example
"$build/example" "$1" "$3"
