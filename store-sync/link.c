/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The life of a connection: WAITING → RESOLVING → GREETING → READY, and back
 * to WAITING from anywhere.
 *
 * hiredis frees a connection behind our back whenever it ends, and may call
 * the handlers of unanswered commands while it does: ac->data leads to the
 * link only as long as the link still holds that connection.
 */

#include "link.h"

#include "adapter.h"
#include "cause.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Milliseconds.  Whatever swallowed our packets: 1 s after it has gone there
   is a connection again.  So a try is given up before the kernel would repeat
   its first packet, which may be lost, and no wait is longer than a try. */
#define LINK_CONNECT_MAX 700
#define LINK_RETRY_MAX   700
#define LINK_GREET_MAX   2000 /* until it is ready, once it is connected */
#define LINK_RESOLVE_MAX 500  /* then the address of before is tried */
#define LINK_PATIENCE    2000 /* until the lease is known */
#define LINK_SECOND_LOOK 20

/* A connection that lived this long is made anew at once when it is lost;
   one that did not waits, or a server that drops us would be hammered. */
#define LINK_STEADY 2000


static void link_try(apikey_link_t *link);
static void link_try_known(apikey_link_t *link);
static void link_timer(uv_timer_t *timer);


void
apikey_link_init(apikey_link_t *link, uv_loop_t *loop, const char *name,
                 const char *channel, const apikey_link_events_t *events,
                 void *ctx)
{
    memset(link, 0, sizeof(*link));

    link->name = name;
    link->channel = channel;
    link->events = events;
    link->ctx = ctx;
    link->loop = loop;
    link->patience = LINK_PATIENCE;
    link->timer.data = link;
    link->resolver.data = link;

    uv_timer_init(loop, &link->timer);
}


static void
link_arm(apikey_link_t *link, uint64_t milliseconds)
{
    uv_timer_start(&link->timer, link_timer, milliseconds, 0);
}


/* Lets go of the connection, if there is one; hiredis frees it. */
static void
link_release(apikey_link_t *link)
{
    redisAsyncContext *ac = link->ac;

    link->ac = NULL;
    link->unanswered = 0;
    link->pinged = 0;
    link->suspect = 0;
    uv_timer_stop(&link->timer);

    if (ac != NULL) {
        ac->data = NULL;
        redisAsyncFree(ac);
    }
}


/* The connection has ended or is to end; hiredis may be freeing it already,
   then link->ac was cleared before. */
static void
link_lose(apikey_link_t *link, apikey_cause_t cause, const char *reason)
{
    char               copy[APIKEY_LINK_ERROR_LEN];
    uint64_t           took, now = uv_now(link->loop);
    apikey_link_loss_t loss = { .cause = cause, .error = copy };

    /* it may be part of what is freed now */
    snprintf(copy, sizeof(copy), "%s", reason);

    loss.was_ready = apikey_link_ready(link);

    if (loss.was_ready && now - link->ready_at >= LINK_STEADY) {
        apikey_backoff_reset(&link->backoff);

    } else {
        /* who has tried for long has waited */
        loss.retry = apikey_backoff(&link->backoff, LINK_RETRY_MAX);
        took = loss.was_ready ? 0 : now - link->tried_at;
        loss.retry = took < loss.retry ? loss.retry - took : 0;
    }

    link_release(link);
    link->state = APIKEY_LINK_WAITING;
    link->failures++;
    link_arm(link, loss.retry);

    link->events->lost(link->ctx, link, &loss);
}


/* The server answered with an error where it should not. */
static void
link_refused(apikey_link_t *link, const char *error)
{
    link_lose(link, apikey_cause_of_error(error, 0), error);
}


/* Of the end of a connection that hiredis tells of. */
static apikey_cause_t
link_cause(const redisAsyncContext *ac)
{
    switch (ac->err) {
    case REDIS_ERR_PROTOCOL:
        return APIKEY_CAUSE_PROTOCOL;

    case REDIS_ERR_OTHER: /* an answer to SUBSCRIBE */
        return apikey_cause_of_error(ac->errstr, 0);

    case REDIS_ERR_OOM:
        return APIKEY_CAUSE_SYSTEM;

    default:
        return ac->c.flags & REDIS_CONNECTED ? APIKEY_CAUSE_RESET
                                             : APIKEY_CAUSE_UNREACHABLE;
    }
}


/* hiredis is about to free the connection. */
static void
link_ended(redisAsyncContext *ac)
{
    apikey_link_t *link = ac->data;

    if (link == NULL) {
        return;
    }

    ac->data = NULL;
    link->ac = NULL;

    link_lose(link, link_cause(ac),
              ac->err && ac->errstr ? ac->errstr : "closed");
}


static void
link_disconnected(const redisAsyncContext *ac, int status)
{
    (void) status;

    link_ended((redisAsyncContext *) (uintptr_t) ac);
}


void
apikey_link_drop(apikey_link_t *link, apikey_cause_t cause, const char *reason)
{
    if (link->state == APIKEY_LINK_GREETING || apikey_link_ready(link)) {
        link_lose(link, cause, reason);
    }
}


/* One more command is on its way. */
static void
link_sent(apikey_link_t *link)
{
    if (link->unanswered++ == 0) {
        link->progress = uv_now(link->loop);
        link->suspect = 0;

        /* while greeting there is one limit for all of it */
        if (apikey_link_ready(link)) {
            link_arm(link, link->patience);
        }
    }
}


static void
link_answered(apikey_link_t *link)
{
    link->progress = uv_now(link->loop);
    link->suspect = 0;

    if (--link->unanswered == 0 && apikey_link_ready(link)) {
        uv_timer_stop(&link->timer);
    }
}


static void
link_silence(apikey_link_t *link)
{
    char     reason[APIKEY_LINK_ERROR_LEN];
    uint64_t silent = uv_now(link->loop) - link->progress;

    if (silent < link->patience) {
        link_arm(link, link->patience - silent);
        return;
    }

    /* if it was us who were stopped, the answer is there to be read */
    if (!link->suspect) {
        link->suspect = 1;
        link_arm(link, LINK_SECOND_LOOK);
        return;
    }

    snprintf(reason, sizeof(reason), "no answer for %llu ms",
             (unsigned long long) silent);
    link_lose(link, APIKEY_CAUSE_SILENT, reason);
}


static void
link_timer(uv_timer_t *timer)
{
    apikey_link_t *link = timer->data;
    char           reason[APIKEY_LINK_ERROR_LEN];

    switch (link->state) {
    case APIKEY_LINK_WAITING:
        link_try(link);
        return;

    case APIKEY_LINK_RESOLVING:
        link_try_known(link);
        return;

    case APIKEY_LINK_GREETING:
        snprintf(reason, sizeof(reason), "no connection within %llu ms",
                 (unsigned long long) (uv_now(link->loop) - link->tried_at));
        link_lose(link, APIKEY_CAUSE_SILENT, reason);
        return;

    case APIKEY_LINK_READY:
        if (link->unanswered > 0) {
            link_silence(link);
        }
        return;

    case APIKEY_LINK_CLOSED:
        return;
    }
}


/* Where the store sees us come from, for `apikeyctl edges`. */
static void
link_address(apikey_link_t *link)
{
    char                    port[NI_MAXSERV];
    socklen_t               len;
    struct sockaddr_storage address;

    len = sizeof(address);

    if (link->url->port == 0
        || getsockname(link->ac->c.fd, (struct sockaddr *) &address, &len) != 0
        || getnameinfo((struct sockaddr *) &address, len, link->address,
                       sizeof(link->address), port, sizeof(port),
                       NI_NUMERICHOST | NI_NUMERICSERV)
               != 0)
    {
        strcpy(link->address, "local");
    }
}


static void
link_greeted(apikey_link_t *link)
{
    char shown[APIKEY_URL_PART_MAX + 32];

    link->state = APIKEY_LINK_READY;
    link->ready_at = uv_now(link->loop);
    link->failures = 0;
    link->trouble.written = 0;
    uv_timer_stop(&link->timer);
    link_address(link);
    strcpy(link->known, link->host);

    apikey_url_show(link->url, shown, sizeof(shown));
    apikey_log(APIKEY_LOG_INFO, "connected", apikey_text("link", link->name),
               apikey_text("store", shown),
               apikey_text("run_id", link->run_id));

    link->events->ready(link->ctx, link);
}


/* INFO's lines are "name:value\r\n". */
static int
link_run_id(apikey_link_t *link, const redisReply *info)
{
    size_t      len;
    const char *p;

    if (info->type != REDIS_REPLY_STRING) {
        return -1;
    }

    p = strstr(info->str, "\nrun_id:");

    if (p == NULL) {
        return -1;
    }

    p += sizeof("\nrun_id:") - 1;
    len = strcspn(p, "\r\n");

    if (len == 0 || len > APIKEY_LINK_RUN_ID_LEN) {
        return -1;
    }

    memcpy(link->run_id, p, len);
    link->run_id[len] = '\0';

    return 0;
}


/* AUTH and SELECT. */
static void
link_on_greeting(void *ctx, const redisReply *reply)
{
    apikey_link_t *link = ctx;

    if (reply->type == REDIS_REPLY_ERROR) {
        link_refused(link, reply->str);
    }
}


/* INFO: the last step, but for the subscription. */
static void
link_on_info(void *ctx, const redisReply *reply)
{
    apikey_link_t *link = ctx;

    if (reply->type == REDIS_REPLY_ERROR) {
        link_refused(link, reply->str);
        return;
    }

    if (link_run_id(link, reply) != 0) {
        link_lose(link, APIKEY_CAUSE_PROTOCOL,
                  "the server tells no run_id: is it Redis or Valkey?");
        return;
    }

    if (link->channel == NULL) {
        link_greeted(link);
    }
}


/* The handler of a command, as hiredis carries it along. */
typedef union {
    void           *data;
    apikey_reply_pt handler;
} link_handler_t;


static void
link_on_reply(redisAsyncContext *ac, void *data, void *privdata)
{
    apikey_link_t *link = ac->data;
    link_handler_t handler = { .data = privdata };

    if (data == NULL) {
        link_ended(ac);
        return;
    }

    if (link == NULL) {
        return;
    }

    link_answered(link);

    if (handler.handler == link_on_info || handler.handler == link_on_greeting)
    {
        handler.handler(link, data);
    } else {
        handler.handler(link->ctx, data);
    }
}


/* What comes over a subscribed connection: the answer to SUBSCRIBE, and
   messages. */
static void
link_on_event(redisAsyncContext *ac, void *data, void *privdata)
{
    apikey_link_t    *link = ac->data;
    const redisReply *reply = data;

    (void) privdata;

    if (reply == NULL) {
        link_ended(ac);
        return;
    }

    if (link == NULL || reply->elements != 3
        || reply->element[0]->type != REDIS_REPLY_STRING)
    {
        return;
    }

    if (strcmp(reply->element[0]->str, "message") == 0) {
        if (apikey_link_ready(link)
            && reply->element[2]->type == REDIS_REPLY_STRING) {
            link->events->message(link->ctx, reply->element[2]->str,
                                  (size_t) reply->element[2]->len);
        }

        return;
    }

    if (strcmp(reply->element[0]->str, "subscribe") != 0) {
        return;
    }

    link_answered(link);
    link->pinged = 0;

    if (link->state == APIKEY_LINK_GREETING) {
        link_greeted(link);
    }
}


static int
link_command(apikey_link_t *link, apikey_reply_pt handler, int argc,
             const char **argv, const size_t *argvlen)
{
    link_handler_t data = { .handler = handler };

    if (redisAsyncCommandArgv(link->ac, link_on_reply, data.data, argc, argv,
                              argvlen)
        != REDIS_OK)
    {
        return -1;
    }

    link_sent(link);

    return 0;
}


static void
link_subscribe(apikey_link_t *link)
{
    const char *argv[] = { "SUBSCRIBE", link->channel };

    if (redisAsyncCommandArgv(link->ac, link_on_event, NULL, 2, argv, NULL)
        == REDIS_OK)
    {
        link_sent(link);
    }
}


/* All in one go; the answers come in order. */
static void
link_greet(apikey_link_t *link)
{
    char        db[16];
    const char *auth[] = { "AUTH", link->url->user, link->url->password };
    const char *select_db[] = { "SELECT", db };
    const char *info[] = { "INFO", "server" };

    if (link->url->user[0] != '\0') {
        link_command(link, link_on_greeting, 3, auth, NULL);

    } else if (link->url->password[0] != '\0') {
        auth[1] = link->url->password;
        link_command(link, link_on_greeting, 2, auth, NULL);
    }

    if (link->url->db != 0) {
        snprintf(db, sizeof(db), "%d", link->url->db);
        link_command(link, link_on_greeting, 2, select_db, NULL);
    }

    link_command(link, link_on_info, 2, info, NULL);

    if (link->channel != NULL) {
        link_subscribe(link);
    }
}


/* The kernel has a connection; or not, which hiredis tells in another way. */
static void
link_connected(const redisAsyncContext *ac, int status)
{
    apikey_link_t *link = ac->data;

    if (link != NULL && status == REDIS_OK) {
        link_arm(link, LINK_GREET_MAX);
    }
}


/* host is numeric, or the path of a socket: nothing here waits. */
static void
link_connect(apikey_link_t *link, const char *host)
{
    redisAsyncContext *ac;

    ac = link->url->port ? redisAsyncConnect(host, link->url->port)
                         : redisAsyncConnectUnix(host);

    if (ac == NULL) {
        link_lose(link, APIKEY_CAUSE_SYSTEM, "no memory");
        return;
    }

    link->ac = ac;

    if (ac->err) {
        link_lose(link,
                  errno == EMFILE || errno == ENFILE || errno == ENOMEM
                      ? APIKEY_CAUSE_SYSTEM
                      : APIKEY_CAUSE_UNREACHABLE,
                  ac->errstr);
        return;
    }

    if (apikey_adapter_attach(ac, link->loop) != 0) {
        link_lose(link, APIKEY_CAUSE_SYSTEM,
                  "the event loop does not take the connection");
        return;
    }

    ac->data = link;
    redisAsyncSetConnectCallback(ac, link_connected);
    redisAsyncSetDisconnectCallback(ac, link_disconnected);

    link->state = APIKEY_LINK_GREETING;
    link->tried_at = uv_now(link->loop);
    link_arm(link, LINK_CONNECT_MAX);
    link_greet(link);
}


/* To an address of the host. */
static void
link_connect_host(apikey_link_t *link, const char *host)
{
    snprintf(link->host, sizeof(link->host), "%s", host);
    link_connect(link, link->host);
}


/* Names can't be looked up, which a network that is just coming back may not
   wait for. */
static void
link_try_known(apikey_link_t *link)
{
    if (link->known[0] != '\0') {
        link_connect_host(link, link->known);
    }
}


/* Picks the host's addresses in turn, so that a dead one is passed by. */
static int
link_pick(apikey_link_t *link, const struct addrinfo *list, char *host,
          socklen_t size)
{
    unsigned               n;
    const struct addrinfo *address;

    for (n = 0, address = list; address != NULL; address = address->ai_next) {
        n++;
    }

    if (n == 0) {
        return -1;
    }

    for (n = link->tries++ % n, address = list; n > 0; n--) {
        address = address->ai_next;
    }

    return getnameinfo(address->ai_addr, address->ai_addrlen, host, size, NULL,
                       0, NI_NUMERICHOST)
                   == 0
               ? 0
               : -1;
}


static void
link_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *list)
{
    apikey_link_t *link = resolver->data;
    char host[APIKEY_LINK_ADDRESS_MAX + 1], reason[APIKEY_LINK_ERROR_LEN];
    int  picked;

    link->resolving = 0;

    picked = status == 0 && link_pick(link, list, host, sizeof(host)) == 0;

    uv_freeaddrinfo(list);

    if (link->state != APIKEY_LINK_RESOLVING) {
        return;
    }

    if (!picked) {
        snprintf(reason, sizeof(reason), "cannot resolve the host's name: %s",
                 status ? uv_strerror(status) : "it has no address");
        link_lose(link, APIKEY_CAUSE_UNRESOLVED, reason);
        return;
    }

    link_connect_host(link, host);
}


static void
link_try(apikey_link_t *link)
{
    int             rc;
    struct addrinfo hints = { .ai_family = AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM };

    link->tried_at = uv_now(link->loop);

    if (link->url->port == 0) {
        link_connect(link, link->url->host);
        return;
    }

    /* an earlier question is still out: for another URL, or it lasts */
    if (link->resolving) {
        if (link->known[0] != '\0') {
            link_try_known(link);
        } else {
            link_arm(link, APIKEY_BACKOFF_FIRST);
        }

        return;
    }

    rc = uv_getaddrinfo(link->loop, &link->resolver, link_resolved,
                        link->url->host, NULL, &hints);

    if (rc != 0) {
        link_lose(link, APIKEY_CAUSE_SYSTEM, uv_strerror(rc));
        return;
    }

    link->resolving = 1;
    link->state = APIKEY_LINK_RESOLVING;
    link_arm(link, LINK_RESOLVE_MAX);
}


void
apikey_link_open(apikey_link_t *link, const apikey_url_t *url)
{
    link_release(link);
    link->url = url;
    link->known[0] = '\0';
    link->state = APIKEY_LINK_WAITING;
    link->failures = 0;
    link->trouble.written = 0;
    apikey_backoff_reset(&link->backoff);
    link_arm(link, 0);
}


void
apikey_link_close(apikey_link_t *link)
{
    link_release(link);
    link->state = APIKEY_LINK_CLOSED;

    if (link->resolving) {
        uv_cancel((uv_req_t *) &link->resolver);
    }

    uv_close((uv_handle_t *) &link->timer, NULL);
}


void
apikey_link_patience(apikey_link_t *link, uint64_t milliseconds)
{
    link->patience =
        milliseconds < LINK_PATIENCE ? milliseconds : LINK_PATIENCE;
}


int
apikey_link_send(apikey_link_t *link, apikey_reply_pt handler, int argc,
                 const char **argv, const size_t *argvlen)
{
    if (!apikey_link_ready(link)) {
        return -1;
    }

    return link_command(link, handler, argc, argv, argvlen);
}


void
apikey_link_ping(apikey_link_t *link)
{
    if (apikey_link_ready(link) && !link->pinged) {
        link->pinged = 1;
        link_subscribe(link);
    }
}
