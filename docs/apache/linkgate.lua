-- Apache asks linkgate before it passes a request on: docs/apache.md tells how. Called by LuaHookAccessChecker; says
-- OK for nothing but a 200 of linkgate, after the request was changed to carry what linkgate said. An error in here is
-- a 500 of Apache's and lets nobody through.

local http = require("socket.http")
local ltn12 = require("ltn12")

-- Where linkgate's pages are.
local linkgate = "http://127.0.0.1:8080/.linkgate"
-- How long linkgate may take for each step, in seconds.
http.TIMEOUT = 3

-- What a visitor may not set, in any spelling: identities, overrides of method and address, addresses of clients.
local families = {
    "x-forwarded-", "x-auth-", "x-authenticated-", "x-authentik-", "x-remote-", "x-webauth-", "x-user-", "x-ssl-",
    "x-client-cert", "x-original-", "x-rewrite-", "x-goog-authenticated-user-", "x-amzn-oidc-", "x-ms-client-principal",
    "remote-", "ssl-client-", "cf-connecting-", "cf-access-", "linkgate-", "auth-user",
}
local names = {
    "auth-email", "auth-groups", "auth-name", "client-cert", "client-cert-chain", "client-ip", "cluster-client-ip",
    "fastly-client-ip", "forwarded", "forwarded-for", "front-end-https", "proxy", "true-client-ip",
    "x-appengine-user-ip", "x-auth", "x-authenticated", "x-client-ip", "x-cluster-client-ip", "x-email",
    "x-envoy-external-address", "x-envoy-original-path", "x-forwarded", "x-groups", "x-host", "x-http-host-override",
    "x-http-method", "x-http-method-override", "x-method-override", "x-proxyuser-ip", "x-real-ip", "x-real-port",
    "x-remote", "x-request-id", "x-rewrite-uri", "x-true-client-ip", "x-url-scheme", "x-user", "x-userid",
    "x-useremail", "x-username", "x-usergroups", "x-webauth",
}
-- What linkgate wants to see of the visitor's request, with everything that begins with `sec-` or `access-control-`.
local shown = {
    "accept", "accept-language", "authorization", "content-type", "cookie", "origin", "user-agent",
    "x-requested-with",
}
-- What of linkgate's answer is not for the visitor: Apache frames it anew.
local framing = { "connection", "content-length", "keep-alive", "transfer-encoding" }
-- What of a yes is about the answer itself. All the rest is for the app.
local about = { "cache-control", "connection", "content-length", "date", "keep-alive", "set-cookie", "transfer-encoding" }
-- What a visitor sends to the app; linkgate says what of it the app may have.
local credentials = { "authorization", "cookie" }
-- What a visitor may call a matter of this connection alone (`Connection: Remote-User` would take out what we say).
local hops = { "close", "http2-settings", "keep-alive", "te", "upgrade" }
local function set(list)
    local found = {}
    for _, name in ipairs(list) do found[name] = true end
    return found
end
names, shown, framing, about = set(names), set(shown), set(framing), set(about)
hops, credentials = set(hops), set(credentials)

-- A name as CGI and its kin see it: X_Forwarded_User is X-Forwarded-User to them.
local function fold(name)
    return (name:lower():gsub("[^%a%d]", "-"))
end

local function reserved(name)
    local folded = fold(name)
    if names[folded] then return true end
    for _, family in ipairs(families) do
        if folded:sub(1, #family) == family then return folded ~= "x-user-agent" end
    end
    return false
end

local function of_this_hop(value)
    local kept = {}
    for token in value:gmatch("[^,%s]+") do
        if hops[token:lower()] then kept[#kept + 1] = token end
    end
    return table.concat(kept, ", ")
end

local function refuse(r, status, text)
    -- Apache only wonders, as for an entry of a listing: there is no answer to write.
    if not r.is_initial_req then return status end
    r.status = status
    r.content_type = "text/plain; charset=utf-8"
    r.err_headers_out["Cache-Control"] = "no-store"
    r:puts(text .. "\n")
    return apache2.DONE
end

local function out_of_order(r, why)
    r:err("linkgate: " .. why .. ": nobody passes")
    return refuse(r, 503, "The sign-in is out of order for the moment.")
end

function ask(r)
    -- A request that may pass is led on within Apache, to an index or by a .htaccess: it has been asked about, and carries
    -- what linkgate said already. Apache hands the marks of the first one down; no visitor can set them.
    local env = r.subprocess_env
    if not r.is_initial_req and (env["linkgate_asked"] or env["REDIRECT_linkgate_asked"]) == "1" then
        env["linkgate_asked"] = "1"
        if env["REDIRECT_linkgate_renewed"] == "1" then env["linkgate_renewed"] = "1" end
        return apache2.OK
    end

    local question = {}
    for name, value in pairs(r:headers_in_table()) do
        local lower = name:lower()
        if reserved(name) then
            r.headers_in[name] = nil
        elseif lower == "connection" then
            local kept = of_this_hop(value)
            r.headers_in[name] = nil
            if kept ~= "" then r.headers_in[name] = kept end
        elseif shown[lower] or lower:sub(1, 4) == "sec-" or lower:sub(1, 15) == "access-control-" then
            question[lower] = value
        end
    end
    -- linkgate's own pages; by where Apache will send the request, not by how its address is written.
    local pages = "proxy:" .. linkgate .. "/"
    if (r.filename or ""):sub(1, #pages) == pages then return apache2.OK end

    local target, host = r.unparsed_uri, r.headers_in["Host"]
    if target == nil or target:sub(1, 1) ~= "/" or host == nil or host == "" then
        return refuse(r, 400, "This request has no address.")
    end
    question["x-forwarded-method"] = r.method
    question["x-forwarded-proto"] = r.is_https and "https" or "http"
    question["x-forwarded-host"] = host
    question["x-forwarded-uri"] = target
    question["x-forwarded-for"] = r.useragent_ip
    question["connection"] = "close"

    local body = {}
    local done, status, headers = http.request({
        url = linkgate .. "/check/forward",
        headers = question,
        sink = ltn12.sink.table(body),
        redirect = false,
    })
    if not done then return out_of_order(r, "no answer: " .. tostring(status)) end
    if status >= 300 and status <= 599 then
        if not r.is_initial_req then return status end
        r.status = status
        for name, value in pairs(headers) do
            if name == "content-type" then
                r.content_type = value
            elseif not framing[name] then
                r.err_headers_out[name] = value
            end
        end
        r:puts(table.concat(body))
        return apache2.DONE
    elseif status ~= 200 then
        return out_of_order(r, "it answers " .. tostring(status))
    end

    -- In place of whatever the visitor sent under these names, in any spelling.
    local told = {}
    for name in pairs(headers) do
        if not about[name] then told[fold(name)] = name end
    end
    if told["linkgate-assertion"] == nil then return out_of_order(r, "this 200 is not linkgate's") end
    for name in pairs(r:headers_in_table()) do
        local folded = fold(name)
        if told[folded] or credentials[folded] then r.headers_in[name] = nil end
    end
    for _, name in pairs(told) do
        if headers[name] ~= "" or not credentials[name] then r.headers_in[name] = headers[name] end
    end
    -- A session that linkgate has carried on: its new cookie goes to the browser, and into no cache.
    if headers["set-cookie"] ~= nil then
        r.err_headers_out["Set-Cookie"] = headers["set-cookie"]
        env["linkgate_renewed"] = "1"
    end
    env["linkgate_asked"] = "1"
    -- Who it is, for Apache's own log (%u) and for what it runs itself (REMOTE_USER).
    local email = headers["remote-email"]
    if email ~= nil and email ~= "" then r.user = email end
    return apache2.OK
end
