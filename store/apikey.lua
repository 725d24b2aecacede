#!lua name=apikey

--
-- Copyright (C) 2026 the ngx_http_apikey_module authors
--
-- The only writer of the store.  docs/store.md is the contract; this file
-- keeps it.  From top to bottom: errors, validators, arguments, keys and
-- reading, tokens, change() through which every change goes, edges, and the
-- functions.
--
-- There is no rollback: a function checks its arguments and whatever it
-- found in the store first, then hands a plan of writes to change(), which
-- makes sure that each of them will succeed before it runs the first.
--


-- errors ---------------------------------------------------------------------

local function fail(name, ...)
    error({ err = name .. ' ' .. string.format(...) })
end


-- Turns whatever ended a function early into its answer: an error of ours or
-- of Redis begins with its name, any other is a fault in this file.  (The
-- pcall that Redis gives to functions makes texts of error tables.)
local function failure(cause)
    local message = type(cause) == 'table' and cause.err or tostring(cause)

    -- Redis 7.0 has no name for this one
    message = message:gsub('^ERR (The user executing the script)',
                           'NOPERM %1')

    if message:find('^WRONGTYPE ') then
        message = 'BADSTORE a key of the store holds another type of value:'
                  .. ' something else writes under the store\'s name'
    elseif not message:find('^%u+ ') then
        message = 'ERR apikey: ' .. message
    end

    return { err = message }
end


-- validators -----------------------------------------------------------------
--
-- Each takes a string and returns nil if it will do, or what it must be.
-- While a library is loaded Redis gives it no globals but `redis`: what makes
-- these validators does without ipairs, string and the like.

local VERSION_MAX = 2 ^ 48 - 1    -- what fits into a slot of an edge's table
local STATUSES = { 'enabled', 'disabled', 'revoked' }


local function between(min, max)
    return min == max and min or min .. ' to ' .. max
end


local function chars(min, max, set, named)
    local must = between(min, max) .. ' of ' .. named
    local all = '^[' .. set .. ']*$'    -- faster than to look for another one

    return function(value)
        if #value < min or #value > max or not value:find(all) then
            return must
        end
    end
end


local function integer(min, max)
    local must = ('a whole number, %.0f to %.0f'):format(min, max)

    return function(value)
        if #value > 16 or not (value == '0' or value:find('^[1-9]%d*$')) then
            return must
        end

        local number = tonumber(value)

        if number < min or number > max then
            return must
        end
    end
end


local function one_of(names)
    return function(value)
        for _, name in ipairs(names) do
            if value == name then
                return nil
            end
        end

        return 'one of: ' .. table.concat(names, ', ')
    end
end


local function or_empty(check)
    return function(value)
        if value ~= '' then
            return check(value)
        end
    end
end


-- At most max words that check() lets through, one blank between.
local function words(max, check, named)
    local must = between(0, max) .. ' of ' .. named .. ', one blank between'

    return function(value)
        local count, at = 0, 1

        while at <= #value do
            local blank = value:find(' ', at, true) or #value + 1

            count = count + 1

            if count > max or blank == #value
               or check(value:sub(at, blank - 1))
            then
                return must
            end

            at = blank + 1
        end
    end
end


-- The well-formed sequences of Unicode 15, table 3-7, by their first byte:
-- the range of the second byte, and how many more follow it.  Overlong forms,
-- surrogates and what lies beyond U+10FFFF have no row.
local UTF8 = {
    { 0xC2, 0xDF, 0x80, 0xBF, 0 },
    { 0xE0, 0xE0, 0xA0, 0xBF, 1 },
    { 0xE1, 0xEC, 0x80, 0xBF, 1 },
    { 0xED, 0xED, 0x80, 0x9F, 1 },
    { 0xEE, 0xEF, 0x80, 0xBF, 1 },
    { 0xF0, 0xF0, 0x90, 0xBF, 2 },
    { 0xF1, 0xF3, 0x80, 0xBF, 2 },
    { 0xF4, 0xF4, 0x80, 0x8F, 2 },
}


local function utf8_sequence(value, at)
    local first = value:byte(at)

    for _, row in ipairs(UTF8) do
        if first >= row[1] and first <= row[2] then
            local second = value:byte(at + 1) or 0
            local last = at + 1 + row[5]

            if second < row[3] or second > row[4] or last > #value
               or value:sub(at + 2, last):find('[^\128-\191]')
            then
                return nil
            end

            return last
        end
    end
end


local function is_utf8(value)
    local at = value:find('[\128-\255]')

    while at do
        local last = utf8_sequence(value, at)

        if not last then
            return false
        end

        at = value:find('[\128-\255]', last + 1)
    end

    return true
end


-- Followers read entries with a strict JSON parser: what it would refuse must
-- never get into one.
local function text(min, max)
    local must = between(min, max)
                 .. ' bytes of UTF-8 without control characters'

    return function(value)
        if #value < min or #value > max
           or not value:find('^[\32-\126]*$')
              and (value:find('[%z\1-\31\127]') or not is_utf8(value))
        then
            return must
        end
    end
end


local function scopes(value)
    local count = 0

    if #value <= 16 * 64 + 15 and not value:find('^ ')
       and not value:find(' $') and not value:find('  ', 1, true)
    then
        for token in value:gmatch('[^ ]+') do
            count = count + 1

            if #token > 64 or token:find('[^\33-\126]')
               or token:find('["\\]')
            then
                count = 17
            end
        end

        if count <= 16 then
            return nil
        end
    end

    return '0 to 16 scope tokens (RFC 6749, 3.3) of 1 to 64 bytes,'
           .. ' one blank between'
end


local function pepper(value)
    local id = #value <= 33 and value:match('^([a-z0-9_-]+):[0-9a-f]+$')

    if not id or #id > 16 or #value ~= #id + 17 then
        return '<id>:<fingerprint>: 1 to 16 of a-z 0-9 _ -, a colon,'
               .. ' 16 lower-case hex digits'
    end
end


local function peppers(value)
    local first, second = value:match('^(%S+) ?(.*)$')

    return pepper(first or '') or second ~= '' and pepper(second) or nil
end


local function key_id(value)
    if #value ~= 24 or not value:find('^key_[0-9A-Za-z]+$') then
        return 'key_ and 20 of 0-9 A-Z a-z'
    end
end


local function hex(digits)
    return chars(digits, digits, '0-9a-f', 'lower-case hex digits')
end


local status = one_of(STATUSES)
local member_id = chars(1, 64, 'A-Za-z0-9_.:@-', 'A-Z a-z 0-9 _ . : @ -')
local edge_name = chars(1, 64, 'A-Za-z0-9_.:-', 'A-Z a-z 0-9 _ . : -')
local prefix = chars(0, 16, 'A-Za-z0-9_-', 'A-Z a-z 0-9 _ -')
local lease = integer(200, 3600000)
local log_length = integer(1000, 100000000)
local version = integer(0, VERSION_MAX)
local milliseconds = integer(0, 9999999999999)
local actor = text(1, 128)
local reason = text(0, 256)
local token = chars(16, 64, 'A-Za-z0-9_-', 'A-Z a-z 0-9 _ -')


-- What tells one revocation of a key from another, in whatever history: the
-- version that made it and its time.
local function revocation(value)
    local number, stamp = value:match('^(%d+):(%d+)$')

    if not number or number == '0' or version(number) or milliseconds(stamp)
    then
        return '<version>:<milliseconds>'
    end
end


local function conflict(value)
    local id, seen = value:match('^([^:]*):(.*)$')

    if not id or key_id(id) or revocation(seen) then
        return '<key id>:<version>:<milliseconds>'
    end
end


local ACCEPTED_MAX = 16
local revocations = words(ACCEPTED_MAX, revocation,
                          '<version>:<milliseconds>')
local conflict_keys = words(100, conflict,
                            '<key id>:<version>:<milliseconds>')
local boots = words(8, hex(32), '32 lower-case hex digits')


-- What the objects of the store are made of, in the order in which entries
-- show them: name, validator, and whether it may be absent.
local RECORD = {
    { 'id', key_id },
    { 'status', status },
    { 'digest', hex(64) },
    { 'pepper', chars(1, 16, 'a-z0-9_-', 'a-z 0-9 _ -') },
    { 'hint', text(1, 32), true },
    { 'name', text(1, 128) },
    { 'member', member_id },
    { 'tenant', member_id },
    { 'scopes', scopes, true },
    { 'expires', integer(1, 9999999999), true },
    { 'created', milliseconds },
    { 'created_by', actor },
    { 'updated', milliseconds },
    { 'updated_by', actor },
    { 'reason', text(1, 256), true },
    { 'accepted', revocations, true },
    { 'created_version', version },
    { 'version', version },
}

local MEMBER = {
    { 'id', member_id },
    { 'name', text(1, 128) },
    { 'email', text(0, 254) },
    { 'tenant', member_id },
    { 'created', milliseconds },
    { 'updated', milliseconds },
}

local EDGE = {
    { 'name', edge_name },
    { 'version', version, true },
    { 'epoch', hex(32), true },
}

-- Beside these there is `at`, a number.
local RENEWAL = {
    { 'boot', hex(32) },
    { 'version', version },
    { 'epoch', hex(32) },
    { 'chain', hex(40) },
    { 'address', text(0, 128) },
    { 'software', text(0, 128) },
}

local CONFLICTS = { { 'boot' }, { 'total' }, { 'keys' } }

local META = {
    { 'schema', one_of({ '1' }) },
    { 'epoch', hex(32) },
    { 'lease', lease },
    { 'prefix', prefix },
    { 'peppers', peppers },
    { 'log_length', log_length },
}

-- Beside these, meta has what each change moves on.
local HEAD = {
    { 'version', integer(1, VERSION_MAX) },
    { 'chain', hex(40) },
}


-- arguments ------------------------------------------------------------------

local function check_argument(name, check, value)
    local must = check(value)

    if must then
        fail('BADARG', '%s must be %s', name, must)
    end
end


local function store_name(keys)
    local name = keys[1]

    if #keys ~= 1 or #name > 66 or not name:find('^{[A-Za-z0-9_.-]+}$') then
        fail('BADARG', 'store must be the one key: 1 to 64 of'
                       .. ' A-Z a-z 0-9 _ . - in braces')
    end

    return name
end


-- Returns the arguments by name.  positional holds { name, validator };
-- named maps a name to { validator, default }: without a default it is
-- required; false means that it may be absent.  (Functions that are called
-- thousands of times a second have these made once.)
local function arguments(args, positional, named)
    local values = {}

    for i, argument in ipairs(positional) do
        if not args[i] then
            fail('BADARG', '%s is missing', argument[1])
        end

        check_argument(argument[1], argument[2], args[i])
        values[argument[1]] = args[i]
    end

    for i = #positional + 1, #args, 2 do
        local name, value = args[i], args[i + 1]

        if not named[name] then
            fail('BADARG', '%s is not an argument of this function',
                 #name <= 32 and name:find('^[a-z_]+$') and name
                 or 'argument ' .. i)
        end

        if values[name] then
            fail('BADARG', '%s is repeated', name)
        end

        if not value then
            fail('BADARG', '%s has no value', name)
        end

        check_argument(name, named[name][1], value)
        values[name] = value
    end

    for name, argument in pairs(named) do
        if values[name] == nil then
            if argument[2] == nil then
                fail('BADARG', '%s is missing', name)
            end

            values[name] = argument[2] or nil
        end
    end

    return values
end


-- keys and reading -----------------------------------------------------------

local function digits(number)
    return string.format('%.0f', number)
end


local function now()
    local time = redis.call('TIME')

    return digits(tonumber(time[1]) * 1000
                  + math.floor(tonumber(time[2]) / 1000))
end


-- nil if there is none
local function read_hash(key)
    local flat = redis.call('HGETALL', key)
    local hash = {}

    for i = 1, #flat, 2 do
        hash[flat[i]] = flat[i + 1]
    end

    return #flat > 0 and hash or nil
end


-- Of a hash that has an entry for each edge: { edge, value }, by name.
local function by_name(key)
    local list = {}

    for edge, value in pairs(read_hash(key) or {}) do
        list[#list + 1] = { edge, value }
    end

    table.sort(list, function(one, other)
        return one[1] < other[1]
    end)

    return list
end


-- Someone may have edited the store by hand: what does not fit the contract
-- must not be passed on, and an entry must speak of the key that was meant.
-- A field remembers the value that it had last, if it was sound: most do not
-- change from call to call.
local function check_object(what, fields, object)
    for _, field in ipairs(fields) do
        local name, check, may_be_absent = field[1], field[2], field[3]
        local value = object[name]
        local must

        if value and value == field.sound then
            must = nil
        elseif value then
            must = check(value)
            field.sound = not must and value or nil
        elseif not may_be_absent then
            must = 'there'
        end

        if must then
            fail('BADSTORE', '%s is damaged: %s must be %s', what, name, must)
        end
    end
end


local function check_id(key, object, id)
    if object.id ~= id then
        fail('BADSTORE', '%s is damaged: id must be its own', key)
    end
end


-- The store's meta, checked, with its version as a number in `head`.
local function open(store)
    local meta = read_hash(store .. ':meta')

    if not meta then
        fail('NOINIT', 'there is no store %s here: is this the right Redis and'
                       .. ' database, was it emptied, or was it never'
                       .. ' initialised?', store)
    end

    check_object(store .. ':meta', META, meta)
    check_object(store .. ':meta', HEAD, meta)

    meta.head = tonumber(meta.version)

    return meta
end


local function read_key(store, id)
    local key = store .. ':key:' .. id
    local record = read_hash(key)

    if not record then
        fail('NOKEY', 'no key has the id %s', id)
    end

    check_object(key, RECORD, record)
    check_id(key, record, id)

    return record
end


local function read_member(store, id)
    local key = store .. ':member:' .. id
    local member = read_hash(key)

    if not member then
        fail('NOMEMBER', 'no member has the id %s', id)
    end

    check_object(key, MEMBER, member)
    check_id(key, member, id)

    return member
end


-- An object's fields in the contract's order, as an answer or behind what is
-- there of one.
local function flat(fields, object, answer)
    answer = answer or {}

    local n = #answer

    for _, field in ipairs(fields) do
        local name = field[1]
        local value = object[name]

        if value then
            answer[n + 1], answer[n + 2] = name, value
            n = n + 2
        end
    end

    return answer
end


local function append(answer, ...)
    for _, value in ipairs({ ... }) do
        answer[#answer + 1] = value
    end

    return answer
end


local function hset(key, fields, object)
    return flat(fields, object, { 'HSET', key })
end


local function status_sets(store, tenant)
    local sets = {}

    for i, name in ipairs(STATUSES) do
        sets[i] = tenant and store .. ':tenant:' .. tenant .. ':' .. name
                  or store .. ':status:' .. name
    end

    return sets
end


-- Up to limit entries { id, created version } of the sets together, in the
-- order of the versions, from behind the cursor.  A key keeps its version
-- when its status changes, so nothing is missed or met twice in between.
local function by_version(sets, newest_first, cursor, limit)
    local lists, at, score = {}, {}, {}

    for i, set in ipairs(sets) do
        if newest_first then
            lists[i] = redis.call('ZRANGE', set, cursor and '(' .. cursor
                                  or '+inf', '-inf', 'BYSCORE', 'REV',
                                  'LIMIT', 0, limit, 'WITHSCORES')
        else
            lists[i] = redis.call('ZRANGE', set, cursor and '(' .. cursor
                                  or '-inf', '+inf', 'BYSCORE',
                                  'LIMIT', 0, limit, 'WITHSCORES')
        end

        at[i], score[i] = 1, tonumber(lists[i][2])
    end

    -- Each is sorted: the next one is the first of one of them.
    local entries = {}

    for n = 1, limit do
        local next_one

        for i in ipairs(lists) do
            if score[i] and (not next_one
                             or newest_first and score[i] > score[next_one]
                             or not newest_first
                                and score[i] < score[next_one])
            then
                next_one = i
            end
        end

        if not next_one then
            break
        end

        local list, from = lists[next_one], at[next_one]

        entries[n] = { list[from], score[next_one] }
        at[next_one] = from + 2
        score[next_one] = tonumber(list[from + 3])
    end

    return entries
end


-- tokens ---------------------------------------------------------------------
--
-- A caller whose answer was lost calls again with the same token: what was
-- answered is kept with the change, in one plan.

local TOKEN_LIFE = '3600000'    -- milliseconds
local TOKEN = { token, false }


-- By value, whatever the order in which they came, and whether a default was
-- given or not.  The epoch is in it: what an emptied store promised is void.
local function fingerprint(meta, name, a)
    local names, parts = {}, { name, meta.epoch }

    for argument, value in pairs(a) do
        if value and argument ~= 'token' then
            names[#names + 1] = argument
        end
    end

    table.sort(names)

    for _, argument in ipairs(names) do
        parts[#parts + 1] = argument .. '=' .. #a[argument] .. ':'
                            .. a[argument]
    end

    return redis.sha1hex(table.concat(parts, ' '))
end


-- What a call with a token keeps, and the answer if it was kept before; nil
-- and nil for a call without one.
local function receipt_of(store, meta, name, a)
    if not a.token then
        return nil, nil
    end

    local receipt = { key = store .. ':token:' .. a.token,
                      fingerprint = fingerprint(meta, name, a) }
    local kept = redis.call('GET', receipt.key)

    if not kept then
        return receipt, nil
    end

    local ok, before = pcall(cjson.decode, kept)

    if not ok or type(before) ~= 'table' or type(before.answer) ~= 'table'
    then
        fail('BADSTORE', '%s is damaged', receipt.key)
    end

    if before.fingerprint ~= receipt.fingerprint then
        fail('TOKEN', 'the token was used for another call')
    end

    return receipt, append(before.answer, 'replayed', '1')
end


local function keep(receipt, answer)
    return { 'SET', receipt.key,
             cjson.encode({ fingerprint = receipt.fingerprint,
                            answer = answer }), 'PX', TOKEN_LIFE }
end


-- The answer of a call that found nothing to change.  It is kept too: a copy
-- of the call that arrives late must not do then what it did not do now.
local function unchanged(meta, receipt, answer)
    append(answer, 'head', meta.version, 'chain', meta.chain)

    if receipt then
        redis.call(unpack(keep(receipt, answer)))
    end

    return answer
end


-- change ---------------------------------------------------------------------

local TYPES = { XADD = 'stream', HSET = 'hash', HDEL = 'hash',
                ZADD = 'zset', ZREM = 'zset' }


-- By hand, for the order of the fields; cjson for what is in the quotes.
local function json(fields, object)
    local members, n = {}, 0

    for _, field in ipairs(fields) do
        local value = object[field[1]]

        if value then
            n = n + 1
            members[n] = '"' .. field[1] .. '":' .. cjson.encode(value)
        end
    end

    return '{' .. table.concat(members, ',') .. '}'
end


-- A write that fails half-way through a plan would leave half a change: all
-- that can make one fail is looked at before the first.
local function check_plan(plan)
    for _, write in ipairs(plan) do
        local key = write[2]

        if not redis.acl_check_cmd(unpack(write)) then
            fail('NOPERM', 'this Redis user may not %s %s', write[1], key)
        end

        if TYPES[write[1]] then
            local found = redis.call('TYPE', key).ok

            if found ~= 'none' and found ~= TYPES[write[1]] then
                fail('BADSTORE', '%s is a %s, not a %s: something else writes'
                                 .. ' under the store\'s name', key, found,
                     TYPES[write[1]])
            end
        end
    end
end


local function next_version(meta)
    if meta.head >= VERSION_MAX then
        fail('BADSTORE', 'the version %s is the last that there is',
             digits(meta.head))
    end

    return digits(meta.head + 1)
end


-- The one way to change anything: raises the version, chains and appends the
-- entry, applies the plan, publishes, and keeps the answer if the call has a
-- token.  `a` holds the call's actor and reason; `c` is the change:
--
--     op, at
--     subject, fields, object   the entry's key, member, meta or edge
--     plan                      Redis commands
--     receipt                   of receipt_of(), or nil
--     answer                    to which `head` and `chain` are added
--
local function change(store, meta, a, c)
    local head = next_version(meta)
    local entry = table.concat({
        '{"op":', cjson.encode(c.op),
        ',"at":', c.at,
        ',"actor":', cjson.encode(a.actor),
        ',"reason":', cjson.encode(a.reason),
        ',"', c.subject, '":', json(c.fields, c.object), '}',
    })
    local chain = redis.sha1hex(meta.chain .. '\n' .. entry)
    local answer = append(c.answer, 'head', head, 'chain', chain)

    -- The log first: it alone may refuse what the checks let through, an id
    -- that is not above its last.
    local plan = { { 'XADD', store .. ':log', 'MAXLEN', '~',
                     meta.log_length, head .. '-0',
                     'chain', chain, 'entry', entry } }

    append(plan, unpack(c.plan))
    append(plan, { 'HSET', store .. ':meta', 'version', head,
                   'chain', chain })

    if c.receipt then
        append(plan, keep(c.receipt, answer))
    end

    append(plan, { 'PUBLISH', store .. ':events',
                   table.concat({ head, meta.chain, chain, entry }, ' ') })

    check_plan(plan)

    for i, write in ipairs(plan) do
        local failed = redis.pcall(unpack(write))

        if type(failed) == 'table' and failed.err then
            if i == 1 and failed.err:find('^ERR') then
                fail('BADSTORE', '%s:log has entries beyond version %s', store,
                     meta.version)
            end

            error(failed)
        end
    end

    return answer
end


-- What a change of a record may change.
local CHANGED = { { 'status' }, { 'accepted' }, { 'updated' },
                  { 'updated_by' }, { 'reason' }, { 'version' } }


-- What writes a changed record, whose status was `old`.
local function record_plan(store, record, old)
    local key = store .. ':key:' .. record.id
    local by_status = store .. ':status:'
    local by_tenant = store .. ':tenant:' .. record.tenant .. ':'
    local plan = { { 'HDEL', key, 'reason', 'accepted' },
                   hset(key, CHANGED, record) }

    if record.status ~= old then
        append(plan,
               { 'ZREM', by_status .. old, record.id },
               { 'ZADD', by_status .. record.status, record.created_version,
                 record.id },
               { 'ZREM', by_tenant .. old, record.id },
               { 'ZADD', by_tenant .. record.status, record.created_version,
                 record.id })
    end

    return plan
end


local function record_answer(meta, record, changed)
    return { 'id', record.id, 'version', record.version, 'epoch', meta.epoch,
             'at', record.updated, 'status', record.status,
             'changed', changed }
end


-- Puts a key's record into a status, its own or another.  A revoked key has
-- nothing accepted: whatever was, this revocation is another.
local function change_record(store, meta, a, receipt, op, record, to, also)
    local old = record.status

    record.status = to
    record.updated = now()
    record.updated_by = a.actor
    record.reason = a.reason ~= '' and a.reason or nil
    record.version = next_version(meta)

    if to == 'revoked' then
        record.accepted = nil
    end

    return change(store, meta, a, {
        op = op, at = record.updated, receipt = receipt,
        subject = 'key', fields = RECORD, object = record,
        plan = record_plan(store, record, old),
        answer = append(record_answer(meta, record, '1'), unpack(also)),
    })
end


-- edges ----------------------------------------------------------------------

-- How what an edge has applied, or any version with its chain, stands to the
-- store's history as it is now.
local function verdict(store, meta, a)
    if a.epoch ~= meta.epoch then
        return 'epoch'
    end

    local applied = tonumber(a.version)

    if applied > meta.head then
        return 'ahead'
    end

    local chain = meta.chain

    if applied < meta.head then
        local id = a.version .. '-0'
        local entry = redis.call('XRANGE', store .. ':log', id, id)[1]

        if not entry then
            return 'trimmed'
        end

        chain = entry[2][2]
    end

    return a.chain == chain and 'ok' or 'fork'
end


-- What was recorded of an edge's last renewal: the fields that are sound.
-- What somebody else wrote there must not stop a renewal.
local function renewal_of(recorded)
    local ok, object = pcall(cjson.decode, recorded or '')
    local renewal = {}

    if not ok or type(object) ~= 'table' then
        return renewal
    end

    for _, field in ipairs(RENEWAL) do
        local name, check = field[1], field[2]
        local value = object[name]

        if type(value) == 'string' and not check(value) then
            renewal[name] = value
        end
    end

    if type(object.at) == 'number' and object.at >= 0 and object.at < 1e13 then
        renewal.at = math.floor(object.at)
    end

    return renewal
end


-- What an edge tells, with the time.
local function told(fields, object, at)
    return json(fields, object):sub(1, -2) .. ',"at":' .. at .. '}'
end


-- Whether whoever renewed last may still be deciding by that renewal, at a
-- time: its clock may be 2 % slow, and 100 ms are for what lies between its
-- clock's readings and ours.
local function may_last(meta, renewal, at)
    return renewal.at ~= nil
           and tonumber(at) - renewal.at <= tonumber(meta.lease) * 1.02 + 100
end


-- Whether another daemon renews under this name: one that this has not taken
-- over the table from.
local function is_held(meta, renewal, a, at)
    return renewal.boot and renewal.boot ~= a.boot
           and not (' ' .. a.after .. ' '):find(' ' .. renewal.boot .. ' ', 1,
                                                true)
           and may_last(meta, renewal, at)
end


-- All edges by name: name, renewal as recorded, and how it stands to the
-- history.
local function edges_of(store, meta)
    local list = by_name(store .. ':edges')

    for _, edge in ipairs(list) do
        local renewal = renewal_of(edge[2])
        local known = renewal.version and renewal.chain

        edge[3] = known and verdict(store, meta, renewal) or 'epoch'
    end

    return list
end


-- functions ------------------------------------------------------------------

local COUNT = { integer(1, 1000), '100' }
local SCAN = 1000    -- entries looked at in one call where a filter skips some


local function init(store, args)
    local a = arguments(args, {}, {
        epoch = { hex(32) },
        pepper = { pepper },
        prefix = { prefix, 'mm_' },
        lease = { lease, '5000' },
        log_length = { log_length, '1000000' },
        actor = { actor },
        reason = { reason, '' },
    })

    if redis.call('EXISTS', store .. ':meta') == 1 then
        fail('INITED', 'the store %s is initialised', store)
    end

    local rest = status_sets(store)

    for _, name in ipairs({ 'log', 'digests', 'members', 'edges',
                            'conflicts' })
    do
        rest[#rest + 1] = store .. ':' .. name
    end

    if redis.call('EXISTS', unpack(rest)) > 0 then
        fail('BADSTORE', '%s:meta is gone, but other keys of the store are'
                         .. ' here: restore it from a backup, or delete all'
                         .. ' keys that begin with %s:', store, store)
    end

    local meta = {
        schema = '1', epoch = a.epoch, lease = a.lease, prefix = a.prefix,
        peppers = a.pepper, log_length = a.log_length,
        head = 0, chain = a.epoch,
    }

    return change(store, meta, a, {
        op = 'init', at = now(),
        subject = 'meta', fields = META, object = meta,
        plan = { hset(store .. ':meta', META, meta) },
        answer = { 'epoch', a.epoch, 'version', next_version(meta),
                   'lease', a.lease, 'prefix', a.prefix },
    })
end


local function meta_of(store, args)
    arguments(args, {}, {})

    local meta = open(store)
    local first = redis.call('XRANGE', store .. ':log', '-', '+',
                             'COUNT', 1)[1]
    local answer = append(flat(META, meta), 'version', meta.version,
                          'chain', meta.chain, 'time', now())

    for i, set in ipairs(status_sets(store)) do
        append(answer, STATUSES[i], digits(redis.call('ZCARD', set)))
    end

    return append(answer,
                  'members', digits(redis.call('ZCARD', store .. ':members')),
                  'edges', digits(redis.call('HLEN', store .. ':edges')),
                  'log_first', first and first[1]:match('^%d+') or '')
end


local function fits(object, filter)
    for name, value in pairs(filter) do
        if object[name] ~= value then
            return false
        end
    end

    return true
end


local function member_put(store, args)
    local a = arguments(args, { { 'id', member_id } }, {
        name = { text(1, 128) },
        email = { text(0, 254), '' },
        tenant = { member_id },
        actor = { actor },
        reason = { reason, '' },
        token = TOKEN,
    })
    local meta = open(store)
    local receipt, answer = receipt_of(store, meta, 'member_put', a)

    if answer then
        return answer
    end

    local at = now()
    local key = store .. ':member:' .. a.id
    local old

    if redis.call('EXISTS', key) == 1 then
        old = read_member(store, a.id)

        if fits(old, { name = a.name, email = a.email, tenant = a.tenant })
        then
            return unchanged(meta, receipt, {
                'id', a.id, 'version', meta.version, 'epoch', meta.epoch,
                'at', old.updated, 'changed', '0',
            })
        end

        if old.tenant ~= a.tenant
           and redis.call('ZCARD', store .. ':of:' .. a.id) > 0
        then
            fail('CONFLICT', 'the member %s has keys in the tenant %s, and a'
                             .. ' key keeps its tenant: create another member'
                             .. ' in %s', a.id, old.tenant, a.tenant)
        end
    end

    local member = {
        id = a.id, name = a.name, email = a.email, tenant = a.tenant,
        created = old and old.created or at, updated = at,
    }

    return change(store, meta, a, {
        op = 'member', at = at, receipt = receipt,
        subject = 'member', fields = MEMBER, object = member,
        plan = {
            hset(key, MEMBER, member),
            { 'ZADD', store .. ':members', '0', a.id },
        },
        answer = { 'id', a.id, 'version', next_version(meta),
                   'epoch', meta.epoch, 'at', at, 'changed', '1' },
    })
end


local function member_get(store, args)
    local a = arguments(args, { { 'id', member_id } }, {})

    open(store)

    local answer = flat(MEMBER, read_member(store, a.id))
    local keys = redis.call('ZCARD', store .. ':of:' .. a.id)

    return append(answer, 'keys', digits(keys))
end


-- One page of a listing: the objects that fit the filter (a field's name to
-- its value), at most count, and the cursor of the last entry that was looked
-- at; empty when there is nothing behind it.  find(limit) gives entries
-- { key, cursor }.
local function page(find, fields, count, filter)
    local limit = (next(filter) and SCAN or count) + 1
    local objects, cursor = {}, ''

    for i, entry in ipairs(find(limit)) do
        if #objects == count or i == limit then
            return { cursor, objects }
        end

        local object = read_hash(entry.key)

        if object and fits(object, filter) then
            objects[#objects + 1] = flat(fields, object)
        end

        cursor = entry.cursor
    end

    return { '', objects }
end


local function members(store, args)
    local a = arguments(args, {}, {
        tenant = { member_id, false },
        cursor = { or_empty(member_id), '' },
        count = COUNT,
    })

    open(store)

    return page(function(limit)
        local ids = redis.call('ZRANGE', store .. ':members',
                               a.cursor == '' and '-' or '(' .. a.cursor, '+',
                               'BYLEX', 'LIMIT', 0, limit)

        for i, id in ipairs(ids) do
            ids[i] = { key = store .. ':member:' .. id, cursor = id }
        end

        return ids
    end, MEMBER, tonumber(a.count), { tenant = a.tenant })
end


local function knows_pepper(meta, wanted)
    for one in meta.peppers:gmatch('[^ ]+') do
        if one == wanted then
            return true
        end
    end

    return false
end


local CREATE = { { 'id', key_id } }
local CREATE_NAMED = {
    digest = { hex(64) },
    pepper = { pepper },
    hint = { text(0, 32), '' },
    name = { text(1, 128) },
    member = { member_id },
    scopes = { scopes, '' },
    expires = { integer(1, 9999999999), false },
    status = { one_of({ 'enabled', 'disabled' }), 'enabled' },
    actor = { actor },
    reason = { reason, '' },
    token = TOKEN,
}


local function create(store, args)
    local a = arguments(args, CREATE, CREATE_NAMED)
    local meta = open(store)
    local receipt, answer = receipt_of(store, meta, 'create', a)

    if answer then
        return answer
    end

    if redis.call('EXISTS', store .. ':key:' .. a.id) == 1 then
        fail('DUPID', 'a key with the id %s exists', a.id)
    end

    local twin = redis.call('HGET', store .. ':digests', a.digest)

    if twin then
        fail('DUPDIGEST', 'a key with this digest exists, %s: the same key'
                          .. ' text was created or imported before', twin)
    end

    local tenant = read_member(store, a.member).tenant

    if not knows_pepper(meta, a.pepper) then
        fail('PEPPER', 'the pepper %s is not one that the store knows (%s): is'
                       .. ' this the right pepper file?', a.pepper,
             meta.peppers)
    end

    local at = now()
    local head = next_version(meta)
    local record = {
        id = a.id,
        status = a.status,
        digest = a.digest,
        pepper = a.pepper:match('^[^:]+'),
        hint = a.hint ~= '' and a.hint or nil,
        name = a.name,
        member = a.member,
        tenant = tenant,
        scopes = a.scopes ~= '' and a.scopes or nil,
        expires = a.expires,
        created = at,
        created_by = a.actor,
        updated = at,
        updated_by = a.actor,
        reason = a.reason ~= '' and a.reason or nil,
        created_version = head,
        version = head,
    }

    return change(store, meta, a, {
        op = 'create', at = at, receipt = receipt,
        subject = 'key', fields = RECORD, object = record,
        plan = {
            hset(store .. ':key:' .. a.id, RECORD, record),
            { 'HSET', store .. ':digests', a.digest, a.id },
            { 'ZADD', store .. ':status:' .. a.status, head, a.id },
            { 'ZADD', store .. ':tenant:' .. tenant .. ':' .. a.status, head,
              a.id },
            { 'ZADD', store .. ':of:' .. a.member, head, a.id },
        },
        answer = { 'id', a.id, 'version', head, 'epoch', meta.epoch, 'at', at,
                   'status', a.status },
    })
end


local SET_STATUS = { { 'id', key_id }, { 'status', status } }
local SET_STATUS_NAMED = { actor = { actor }, reason = { reason, '' },
                           token = TOKEN }


local function set_status(store, args)
    local a = arguments(args, SET_STATUS, SET_STATUS_NAMED)
    local meta = open(store)
    local receipt, answer = receipt_of(store, meta, 'set_status', a)

    if answer then
        return answer
    end

    local record = read_key(store, a.id)

    if record.status == a.status then
        return unchanged(meta, receipt, record_answer(meta, record, '0'))
    end

    if record.status == 'revoked' then
        fail('REVOKED', 'the key %s is revoked, for ever: create a new one',
             a.id)
    end

    return change_record(store, meta, a, receipt, 'set_status', record,
                         a.status, {})
end


local function get(store, args)
    local a = arguments(args, { { 'id', key_id } }, {})

    open(store)

    return flat(RECORD, read_key(store, a.id))
end


local function list(store, args)
    local a = arguments(args, {}, {
        status = { status, false },
        member = { member_id, false },
        tenant = { member_id, false },
        cursor = { or_empty(version), '' },
        count = COUNT,
    })

    open(store)

    local sets
    local filter = {}

    if a.member then
        sets = { store .. ':of:' .. a.member }
        filter = { status = a.status, tenant = a.tenant }
    elseif a.status then
        sets = { a.tenant and store .. ':tenant:' .. a.tenant .. ':'
                              .. a.status
                 or store .. ':status:' .. a.status }
    else
        sets = status_sets(store, a.tenant)
    end

    return page(function(limit)
        local entries = by_version(sets, true, a.cursor ~= '' and a.cursor,
                                   limit)

        for i, entry in ipairs(entries) do
            entries[i] = { key = store .. ':key:' .. entry[1],
                           cursor = digits(entry[2]) }
        end

        return entries
    end, RECORD, tonumber(a.count), filter)
end


local RENEW = { { 'edge', edge_name } }
local RENEW_NAMED = {
    boot = { hex(32) },
    after = { boots, '' },
    epoch = { or_empty(hex(32)), '' },
    version = { or_empty(version), '' },
    chain = { or_empty(hex(40)), '' },
    address = { text(0, 128), '' },
    software = { text(0, 128), '' },
}


local function renew(store, args)
    local a = arguments(args, RENEW, RENEW_NAMED)

    if (a.epoch == '') ~= (a.version == '')
       or (a.epoch == '') ~= (a.chain == '')
    then
        fail('BADARG', 'epoch, version and chain must be all there or all'
                       .. ' empty')
    end

    local meta = open(store)
    local key = store .. ':edges'
    local last = renewal_of(redis.call('HGET', key, a.edge))
    local at = now()
    local found

    if is_held(meta, last, a, at) then
        found = 'name'

        -- The clock went back: by that time the name would be held until
        -- the clock is there again; from now on it is for one lease.
        if last.at > tonumber(at) then
            redis.call('HSET', key, a.edge, told(RENEWAL, last, at))
        end

    else
        found = verdict(store, meta, a)

        if found == 'ok' then
            redis.call('HSET', key, a.edge, told(RENEWAL, a, at))
        end
    end

    return { 'verdict', found, 'epoch', meta.epoch, 'version', meta.version,
             'chain', meta.chain, 'lease', meta.lease, 'previous',
             last.at and digits(math.max(0, tonumber(at) - last.at)) or '',
             'holder', last.address or '' }
end


local function edges(store, args)
    arguments(args, {}, {})

    return edges_of(store, open(store))
end


local function acks(store, args)
    local a = arguments(args, { { 'epoch', hex(32) }, { 'version', version },
                                { 'chain', hex(40) } }, {})
    local meta = open(store)

    return { verdict(store, meta, a), meta.version, now(), meta.lease,
             edges_of(store, meta) }
end


local function edge_forget(store, args)
    local a = arguments(args, { { 'edge', edge_name } }, {
        actor = { actor },
        reason = { reason, '' },
        token = TOKEN,
    })
    local meta = open(store)
    local receipt, answer = receipt_of(store, meta, 'edge_forget', a)

    if answer then
        return answer
    end

    local recorded = redis.call('HGET', store .. ':edges', a.edge)

    if not recorded and not redis.call('HGET', store .. ':conflicts', a.edge)
    then
        fail('NOEDGE', 'no edge has the name %s', a.edge)
    end

    local at = now()
    local renewal = renewal_of(recorded)

    if may_last(meta, renewal, at) then
        fail('LIVE', 'the edge %s renewed its lease of %s ms so recently that'
                     .. ' it may last: stop the edge first', a.edge,
             meta.lease)
    end

    return change(store, meta, a, {
        op = 'forget', at = at, receipt = receipt,
        subject = 'edge', fields = EDGE,
        object = { name = a.edge, version = renewal.version,
                   epoch = renewal.epoch },
        plan = {
            { 'HDEL', store .. ':edges', a.edge },
            { 'HDEL', store .. ':conflicts', a.edge },
        },
        answer = { 'edge', a.edge, 'version', next_version(meta),
                   'epoch', meta.epoch, 'at', at },
    })
end


-- No change: an edge tells what it sees, as with a renewal.
local function conflicts_put(store, args)
    local a = arguments(args, { { 'edge', edge_name } }, {
        boot = { hex(32) },
        total = { version },
        keys = { conflict_keys, '' },
    })
    local _, named = a.keys:gsub('[^ ]+', '')

    if named > tonumber(a.total) then
        fail('BADARG', 'keys must be no more than total says')
    end

    open(store)

    local key = store .. ':conflicts'
    local at = now()

    if a.total == '0' then
        redis.call('HDEL', key, a.edge)

    else
        redis.call('HSET', key, a.edge, told(CONFLICTS, a, at))
    end

    return { 'edge', a.edge, 'total', a.total, 'at', at }
end


local function conflicts(store, args)
    arguments(args, {}, {})
    open(store)

    return by_name(store .. ':conflicts')
end


-- The revocations of a key that edges hold to, oldest first; one that several
-- edges report is there as often.
local function conflicts_of(store, id)
    local found = {}

    for _, edge in ipairs(by_name(store .. ':conflicts')) do
        local ok, object = pcall(cjson.decode, edge[2])
        local keys = ok and type(object) == 'table' and object.keys

        if type(keys) == 'string' and not conflict_keys(keys) then
            for seen in keys:gmatch(id .. ':(%d+:%d+)') do
                found[#found + 1] = seen
            end
        end
    end

    table.sort(found, function(one, other)
        local version_1, stamp_1 = one:match('(%d+):(%d+)')
        local version_2, stamp_2 = other:match('(%d+):(%d+)')

        if stamp_1 ~= stamp_2 then
            return tonumber(stamp_1) < tonumber(stamp_2)
        end

        return tonumber(version_1) < tonumber(version_2)
    end)

    return found
end


-- What a record has accepted, and these too, each once; the newest that fit.
local function accept(record, seen)
    local list, known = {}, {}
    local all = (record.accepted or '') .. ' ' .. table.concat(seen, ' ')

    for one in all:gmatch('[^ ]+') do
        if not known[one] then
            known[one] = true
            list[#list + 1] = one
        end
    end

    return table.concat(list, ' ', math.max(1, #list - ACCEPTED_MAX + 1))
end


local function settle(store, args)
    local a = arguments(args, { { 'id', key_id } }, {
        as = { one_of({ 'revoked', 'accepted' }) },
        actor = { actor },
        reason = { reason, '' },
        token = TOKEN,
    })
    local meta = open(store)
    local receipt, answer = receipt_of(store, meta, 'settle', a)

    if answer then
        return answer
    end

    local record = read_key(store, a.id)
    local seen = conflicts_of(store, a.id)

    if #seen == 0 then
        fail('NOCONFLICT', 'no edge reports that it holds the key %s revoked'
                           .. ' against the store', a.id)
    end

    local to, accepted = 'revoked', nil

    if a.as == 'accepted' then
        if record.status == 'revoked' then
            fail('REVOKED', 'the key %s is revoked in the store too: there is'
                            .. ' nothing to accept', a.id)
        end

        to, accepted = record.status, accept(record, seen)
    end

    local also = { 'accepted', accepted or '' }

    if record.status == to and record.accepted == accepted then
        return unchanged(meta, receipt,
                         append(record_answer(meta, record, '0'),
                                unpack(also)))
    end

    record.accepted = accepted

    return change_record(store, meta, a, receipt, 'settle', record, to, also)
end


local function since(store, args)
    local a = arguments(args, { { 'version', version },
                                { 'count', integer(1, 10000) } }, {})
    local meta = open(store)
    local count = tonumber(a.count)
    local after = tonumber(a.version)
    local entries = {}

    -- From `version` itself, whose chain is the first one's previous.
    local found = redis.call('XRANGE', store .. ':log', a.version .. '-0', '+',
                             'COUNT', count + 1)
    local last, chain = 0, meta.epoch

    for _, entry in ipairs(found) do
        local id = tonumber(entry[1]:match('^(%d+)%-0$'))

        if not id then
            fail('BADSTORE', '%s:log has an entry %s that is no version',
                 store, entry[1])
        end

        if id > after and #entries < count then
            entries[#entries + 1] = { digits(id), id == last + 1 and chain
                                      or '', entry[2][2], entry[2][4] }
        end

        last, chain = id, entry[2][2]
    end

    return { meta.epoch, meta.version, meta.chain, entries }
end


local function snapshot(store, args)
    local a = arguments(args, { { 'cursor', version },
                                { 'count', integer(1, 10000) } }, {})
    local meta = open(store)
    local count = tonumber(a.count)
    local entries = by_version(status_sets(store), false, a.cursor, count + 1)
    local ids = {}

    for i = 1, math.min(count, #entries) do
        ids[i] = entries[i][1]
    end

    return { meta.epoch, meta.version, meta.chain,
             #entries > count and digits(entries[count][2]) or '0', ids }
end


local function register(name, callback, ...)
    redis.register_function({
        function_name = name,
        flags = { ... },
        callback = function(keys, args)
            local ok, answer = pcall(function()
                return callback(store_name(keys), args)
            end)

            return ok and answer or failure(answer)
        end,
    })
end


register('apikey_init', init)
register('apikey_meta', meta_of, 'no-writes')
register('apikey_member_put', member_put)
register('apikey_member_get', member_get, 'no-writes')
register('apikey_members', members, 'no-writes')
register('apikey_create', create)
register('apikey_set_status', set_status, 'allow-oom')
register('apikey_settle', settle, 'allow-oom')
register('apikey_get', get, 'no-writes')
register('apikey_list', list, 'no-writes')
register('apikey_renew', renew, 'allow-oom')
register('apikey_edges', edges, 'no-writes')
register('apikey_acks', acks, 'no-writes')
register('apikey_edge_forget', edge_forget, 'allow-oom')
register('apikey_conflicts_put', conflicts_put, 'allow-oom')
register('apikey_conflicts', conflicts, 'no-writes')
register('apikey_since', since, 'no-writes')
register('apikey_snapshot', snapshot, 'no-writes')
