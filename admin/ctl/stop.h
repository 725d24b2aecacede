/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Ctrl-C and TERM, for what goes on until it is told to stop.
 */

#ifndef APIKEY_CTL_STOP_H
#define APIKEY_CTL_STOP_H

/* From here on INT and TERM do not end the process, but are noted. */
void ctl_stop_catch(void);

/* 1 if one has come. */
int ctl_stopped(void);

#endif /* APIKEY_CTL_STOP_H */
