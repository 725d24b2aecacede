/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Tells systemd how the daemon is: sd_notify(3) without its library.
 */

#ifndef APIKEY_SYNC_NOTIFY_H
#define APIKEY_SYNC_NOTIFY_H

/*
 * Sends "READY=1" and the like to $NOTIFY_SOCKET.  Does nothing where nobody
 * asked for it, and never blocks.
 */
void apikey_notify(const char *state);

#endif /* APIKEY_SYNC_NOTIFY_H */
