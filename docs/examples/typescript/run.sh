#!/usr/bin/env bash
# Makes the client from the contracts, builds the example and runs it: run.sh GATEWAY HTTP TENANT [BUILD_FOLDER]
# Needs Node 20, npm and protoc.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../../.." && pwd)"
build="${4:-$(mktemp -d)}"
mkdir -p "$build"
cp "$here/package.json" "$here/example.ts" "$build/"
cd "$build"
npm install --silent --no-fund --no-audit --no-package-lock
contract="$root/shared/protogen/mercato/gateway/v1/descriptors.binpb"
# shellcheck disable=SC2046,SC2086 # words on purpose
${PROTOC:-protoc} --descriptor_set_in="$contract" --plugin=node_modules/.bin/protoc-gen-es --es_out=. \
  --es_opt=target=ts,import_extension=js buf/validate/validate.proto google/api/annotations.proto google/api/http.proto \
  google/type/money.proto google/rpc/error_details.proto $(cd "$root/protos" && echo mercato/gateway/v1/*.proto mercato/errors/v1/*.proto)
node_modules/.bin/tsc --target es2022 --module nodenext --moduleResolution nodenext --skipLibCheck --strict example.ts
node example.js "$1" "$2" "$3"
