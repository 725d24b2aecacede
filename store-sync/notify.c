/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One datagram to the service manager.
 */

#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>


void
apikey_notify(const char *state)
{
    int                fd;
    size_t             len;
    ssize_t            n;
    const char        *path;
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    path = getenv("NOTIFY_SOCKET");

    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return;
    }

    len = strlen(path);

    if (len >= sizeof(address.sun_path)) {
        return;
    }

    memcpy(address.sun_path, path, len);

    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd == -1) {
        return;
    }

    /* whether anybody listens makes no difference to us */
    n = sendto(fd, state, strlen(state), MSG_NOSIGNAL,
               (struct sockaddr *) &address,
               (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len));
    (void) n;

    close(fd);
}
