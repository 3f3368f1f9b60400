-- Takes out every request header that is not a caller's to say, and request ids that could forge a line of a log.
local allowed = $ALLOWED

function envoy_on_request(handle)
  local headers = handle:headers()
  local refused = {}
  for name, _ in pairs(headers) do
    if string.byte(name) ~= 58 and not allowed[name] then  -- 58: the colon of pseudo-headers
      refused[#refused + 1] = name
    end
  end
  for _, name in ipairs(refused) do
    headers:remove(name)
  end
  local id = headers:get("x-request-id")
  if id and (#id > 128 or string.find(id, "[^%w._:-]")) then
    headers:remove("x-request-id")
  end
  local content = headers:get("content-type")
  if not content or string.sub(content, 1, 16) ~= "application/grpc" then
    headers:add("$JSON_MARK", "1")
  end
  -- Other content reaches no parser; and a page can send this one to another origin only after a preflight.
  if content and string.sub(headers:get(":path"), 1, 4) == "/v1/" and not is_json(content) then
    handle:respond({[":status"] = "415"}, "send the body as application/json")
  end
end

function is_json(content)
  return string.find(string.lower(content), "^application/json%s*$$") or string.find(string.lower(content), "^application/json%s*;")
end

-- A stream of messages is one JSON value a line, which is no JSON document.
function envoy_on_response(handle)
  local headers = handle:headers()
  if headers:get("content-type") == "application/json" and headers:get(":status") == "200" and handle:streamInfo():routeName() == "stream" then
    headers:replace("content-type", "application/x-ndjson")
  end
end
