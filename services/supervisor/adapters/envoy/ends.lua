-- gRPC itself ends some calls of the gateway, above all those whose time is over before a handler could say so. Such an
-- answer has a status alone: it gets the details that every error has.
local details = $DETAILS

function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get("grpc-status")
  if status and details[status] and not headers:get("grpc-status-details-bin") then
    headers:add("grpc-status-details-bin", details[status])
  end
end
