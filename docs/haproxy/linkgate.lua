-- HAProxy asks linkgate before it passes a request on: docs/haproxy.md tells how. `http-request lua.linkgate URL`, the
-- address of linkgate's pages, sets the variable txn.linkgate to "yes" at its very end, where linkgate said 200 and the
-- request was changed to carry what linkgate said; everything else is answered here, or leaves the variable unset and
-- is refused by the next line of the configuration. HAProxy goes on after an error in Lua: without that line an error
-- would let everybody through.

-- How long linkgate may take, in milliseconds.
local patience = 3000

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
-- What of linkgate's answer is not for the visitor: HAProxy frames it anew.
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

core.register_action("linkgate", { "http-req" }, function(txn, linkgate)
    local http, f = txn.http, txn.f
    local function refuse(status, text)
        txn:done(txn:reply({
            status = status,
            headers = { ["content-type"] = { "text/plain; charset=utf-8" }, ["cache-control"] = { "no-store" } },
            body = text .. "\n",
        }))
    end

    local question, target, host = {}, f:pathq(), f:req_fhdr("host")
    if target == nil or target:sub(1, 1) ~= "/" or host == nil or host == "" then
        return refuse(400, "This request has no address.")
    end
    for name, values in pairs(http:req_get_headers()) do
        if reserved(name) then
            http:req_del_header(name)
        elseif name == "connection" then
            local kept = {}
            for i = 0, #values do kept[i + 1] = of_this_hop(values[i]) end
            http:req_del_header(name)
            for _, value in ipairs(kept) do
                if value ~= "" then http:req_add_header(name, value) end
            end
        elseif shown[name] or name:sub(1, 4) == "sec-" or name:sub(1, 15) == "access-control-" then
            question[name] = {}
            for i = 0, #values do question[name][i + 1] = values[i] end
        end
    end
    -- The app gets the address that is asked about, in its shortest form: `GET http://elsewhere/ HTTP/1.1` is none.
    http:req_set_uri(target)
    question["x-forwarded-method"] = { f:method() }
    question["x-forwarded-proto"] = { f:ssl_fc() == 1 and "https" or "http" }
    question["x-forwarded-host"] = { host }
    question["x-forwarded-uri"] = { target }
    question["x-forwarded-for"] = { f:src() }

    local answer = core.httpclient():get({
        url = linkgate .. "/check/forward", headers = question, timeout = patience,
    })
    local status = answer and answer.status or 0
    if status >= 300 and status <= 599 then
        local headers = {}
        for name, values in pairs(answer.headers) do
            if not framing[name] then
                headers[name] = {}
                for i = 0, #values do headers[name][i + 1] = values[i] end
            end
        end
        return txn:done(txn:reply({ status = status, headers = headers, body = answer.body }))
    elseif status ~= 200 then
        core.log(core.err, "linkgate answers " .. status .. ": nobody passes")
        return refuse(503, "The sign-in is out of order for the moment.")
    end

    -- In place of whatever the visitor sent under these names, in any spelling.
    local told = {}
    for name in pairs(answer.headers) do
        if not about[name] then told[fold(name)] = name end
    end
    if told["linkgate-assertion"] == nil then
        core.log(core.err, "this 200 is not linkgate's: nobody passes")
        return refuse(503, "The sign-in is out of order for the moment.")
    end
    for name in pairs(http:req_get_headers()) do
        local folded = fold(name)
        if told[folded] or credentials[folded] then http:req_del_header(name) end
    end
    for _, name in pairs(told) do
        local values = answer.headers[name]
        for i = 0, #values do
            if values[i] ~= "" or not credentials[name] then http:req_add_header(name, values[i]) end
        end
    end
    local renewed = answer.headers["set-cookie"]
    if renewed ~= nil then txn:set_var("txn.linkgate_cookie", renewed[0]) end
    txn:set_var("txn.linkgate", "yes")
end, 1)
