-- Has wrk close with one line of JSON, and give each request a head of its own if asked to vary,
-- or the next of the tokens in a file, or a body (sized:BYTES or chunked:BYTES).
local count = 0
local tokens = {}
local PATHS = 5000
local STRIDE = 2741

-- As `benchmarks/heads.py` does it, in every part that a real caller changes.
local function varying_request()
  count = count + 1
  if #tokens > 0 then
    -- Each path comes with each token in the end.
    local turn = count + math.floor(count / PATHS)
    wrk.headers["Authorization"] = "Bearer " .. tokens[turn % #tokens + 1]
  end
  wrk.headers["X-Request-Id"] = string.format("%08x-%04x", count, count * STRIDE % 65536)
  wrk.headers["traceparent"] = string.format("00-%032x-%016x-01", count, count * STRIDE)
  return wrk.format("GET", string.format(
    "/api/v1/clusters/%d/nodes?limit=20&page=%d", count * STRIDE % PATHS, count))
end

local requests = {}

local function request_with_next_token()
  count = count + 1
  return requests[count % #requests + 1]
end

local CHUNK_BYTES = 16384

-- wrk knows no chunks: the request is put together here, its body in chunks of 16 KiB.
local function chunked_request(bytes)
  wrk.method = "POST"
  wrk.headers["Transfer-Encoding"] = "chunked"
  local parts = { wrk.format() }
  for sent = 0, bytes - 1, CHUNK_BYTES do
    local size = math.min(CHUNK_BYTES, bytes - sent)
    parts[#parts + 1] = string.format("%x\r\n%s\r\n", size, string.rep("x", size))
  end
  parts[#parts + 1] = "0\r\n\r\n"
  return table.concat(parts)
end

local function with_body(kind, bytes)
  if kind == "chunked" then
    return chunked_request(bytes)
  end
  wrk.method, wrk.body = "POST", string.rep("x", bytes)
  return wrk.format()
end

function init(args)
  if args[3] ~= nil and args[3] ~= "" then
    local kind, bytes = args[3]:match("(%a+):(%d+)")
    local fixed = with_body(kind, tonumber(bytes))
    request = function() return fixed end
    return
  end
  if args[2] ~= nil and args[2] ~= "" then
    for token in io.lines(args[2]) do
      tokens[#tokens + 1] = token
    end
  end
  if args[1] == "varying" then
    -- Another run does not begin with the heads of this one.
    count = os.time() % 10000 * 100000
    request = varying_request
  elseif #tokens > 0 then
    for number, token in ipairs(tokens) do
      wrk.headers["Authorization"] = "Bearer " .. token
      requests[number] = wrk.format()
    end
    request = request_with_next_token
  end
end

-- Latencies of wrk are in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"per_second":%.1f,"p50_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,"bad":%d}',
    summary.requests, summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
