/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * From options and environment to a connection and a pepper ring; see
 * session.h.
 */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ops_time.h"
#include "fail.h"
#include "receipt.h"
#include "session.h"
#include "store/password.h"


static int         session_url(ctl_t *ctl, apikey_url_t *url);
static const char *pepper_hint(const char *path);
static int         session_timeout(ctl_t *ctl, int *timeout_ms);
static void        session_actor(char *actor, size_t size);


static char session_where[APIKEY_URL_PART_MAX + 32];


int
ctl_session(ctl_t *ctl)
{
    return ctl_session_begin(ctl) == -1 ? -1 : ctl_session_connect(ctl);
}


int
ctl_session_begin(ctl_t *ctl)
{
    char actor[APIKEY_ACTOR_MAX + 1];

    if (ctl_wait_options(ctl) == -1) {
        return -1;
    }

    session_actor(actor, sizeof(actor));

    if (apikey_ops_begin(
            &ctl->ops,
            ctl->store_name ? ctl->store_name : APIKEY_STORE_NAME_DEFAULT,
            ctl->actor ? ctl->actor : actor, ctl->reason ? ctl->reason : "")
        == -1)
    {
        ctl->exit = ctl_fail_ops(ctl, NULL, NULL);
        return -1;
    }

    return 0;
}


/* Who types: behind sudo, the one who called it. */
static void
session_actor(char *actor, size_t size)
{
    char           host[65] = "";
    const char    *name;
    struct passwd *user;

    name = getuid() == 0 ? getenv("SUDO_USER") : NULL;

    if (name == NULL || name[0] == '\0') {
        user = getpwuid(getuid());
        name = user ? user->pw_name : NULL;
    }

    (void) gethostname(host, sizeof(host) - 1);

    if (name) {
        snprintf(actor, size, "%.60s@%s", name, host);

    } else {
        snprintf(actor, size, "uid %u@%s", (unsigned) getuid(), host);
    }
}


int
ctl_session_connect(ctl_t *ctl)
{
    int          rc, timeout_ms;
    apikey_url_t url;

    if (session_timeout(ctl, &timeout_ms) == -1
        || session_url(ctl, &url) == -1) {
        return -1;
    }

    apikey_url_show(&url, session_where, sizeof(session_where));

    rc = apikey_ops_connect(&ctl->ops, &url, timeout_ms);

    apikey_url_wipe(&url);

    if (rc == -1) {
        ctl->exit = ctl_fail_ops(ctl, NULL, NULL);
    }

    return rc;
}


static int
session_timeout(ctl_t *ctl, int *timeout_ms)
{
    uint64_t ms;

    *timeout_ms = APIKEY_CLIENT_TIMEOUT;

    if (ctl->timeout == NULL) {
        return 0;
    }

    if (apikey_duration_parse(ctl->timeout, &ms) == -1 || ms == 0
        || ms > 3600000) {
        ctl->exit = ctl_fail(ctl, CTL_USAGE, "", NULL,
                             "--timeout must be a time with a unit, as in "
                             "500ms or 10s, and at most 1h");
        return -1;
    }

    *timeout_ms = (int) ms;

    return 0;
}


static int
session_url(ctl_t *ctl, apikey_url_t *url)
{
    char error[512];

    if (apikey_url_parse(url, ctl->url ? ctl->url : CTL_REDIS_DEFAULT, error,
                         sizeof(error))
        == -1)
    {
        apikey_url_wipe(url);
        ctl->exit = ctl_fail(ctl, CTL_USAGE, "",
                             "as in redis://HOST:6379 or "
                             "unix:///run/redis/redis-server.sock",
                             "--store: %s", error);
        return -1;
    }

    if (url->tls) {
        apikey_url_wipe(url);
        ctl->exit = ctl_fail(ctl, CTL_USAGE, "",
                             "use redis:// or unix://, or a TLS tunnel such "
                             "as stunnel",
                             "--store: rediss:// (TLS) is not built into "
                             "this program");
        return -1;
    }

    if (ctl->user) {
        if (strlen(ctl->user) >= sizeof(url->user)) {
            apikey_url_wipe(url);
            ctl->exit = ctl_fail(ctl, CTL_USAGE, "", NULL,
                                 "--user: the name is too long");
            return -1;
        }

        strcpy(url->user, ctl->user);
    }

    if (ctl->password_file
        && apikey_password_read(url, ctl->password_file, error, sizeof(error))
               == -1)
    {
        apikey_url_wipe(url);
        ctl->exit = ctl_fail(ctl, CTL_LOCAL, "", NULL, "%s", error);
        return -1;
    }

    return 0;
}


const char *
ctl_pepper_path(const ctl_t *ctl)
{
    return ctl->pepper ? ctl->pepper : CTL_PEPPER_DEFAULT;
}


static const char *
pepper_hint(const char *path)
{
    if (access(path, R_OK) == 0) {
        return NULL;
    }

    switch (errno) {
    case ENOENT:
        return "apikeyctl init makes it with a new store; for a store that "
               "exists, copy the one of an edge";

    case EACCES:
        return "who creates keys must be able to read it: run this as root, "
               "or as a user who may";

    default:
        return NULL;
    }
}


int
ctl_pepper_load(ctl_t *ctl, apikey_pepper_ring_t *ring)
{
    char        error[APIKEY_PEPPER_ERROR_LEN];
    const char *path = ctl_pepper_path(ctl);

    if (apikey_pepper_ring_load(ring, path, error) == 0) {
        return 0;
    }

    ctl->exit = ctl_fail(ctl, CTL_LOCAL, "", pepper_hint(path), "%s", error);

    return -1;
}


const char *
ctl_session_where(void)
{
    return session_where;
}
