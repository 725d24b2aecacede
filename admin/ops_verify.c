/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Whether the log is what was written; see ops_verify.h.
 */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* of libmd; sys/types.h is its own need */
#include <sys/types.h>

#include <sha1.h>

#include "admin/ops_verify.h"


static int
verify_broken(apikey_verify_t *verify, uint64_t version, const char *format,
              ...) __attribute__((format(printf, 3, 4)));
static void verify_chain(char        chain[static SHA1_DIGEST_STRING_LENGTH],
                         const char *previous, const char *json, size_t len);


void
apikey_verify_begin(apikey_verify_t *verify, const char *epoch)
{
    memset(verify, 0, sizeof(*verify));
    snprintf(verify->chain, sizeof(verify->chain), "%s", epoch);
}


int
apikey_verify_entry(apikey_verify_t *verify, const apikey_log_entry_t *entry)
{
    int  trimmed;
    char chain[SHA1_DIGEST_STRING_LENGTH];

    trimmed = verify->first == 0 && entry->version > 1;

    if (verify->first == 0) {
        verify->first = entry->version;

    } else if (entry->version != verify->last + 1) {
        return verify_broken(verify, verify->last + 1,
                             "it is missing: behind %" PRIu64 " there is "
                             "%" PRIu64,
                             verify->last, entry->version);
    }

    if (!trimmed) {
        verify_chain(chain, verify->chain, entry->json, entry->len);

        if (strcmp(chain, entry->chain) != 0) {
            return verify_broken(
                verify, entry->version,
                verify->last
                    ? "its chain is not that of its text behind the entry "
                      "before: this entry was changed, or the one before it "
                      "together with its chain"
                    : "its chain is not that of its text behind the epoch: "
                      "this entry was changed, or the epoch was");
        }
    }

    verify->last = entry->version;
    snprintf(verify->chain, sizeof(verify->chain), "%s", entry->chain);

    return 0;
}


int
apikey_verify_end(apikey_verify_t *verify, uint64_t head, const char *chain)
{
    if (verify->last < head) {
        return verify_broken(verify, verify->last ? verify->last + 1 : head,
                             "it is missing: the head is %" PRIu64 ", and the "
                             "log ends before it",
                             head);
    }

    if (verify->last > head) {
        return verify_broken(verify, head + 1,
                             "it is beyond the head, which is %" PRIu64, head);
    }

    if (strcmp(verify->chain, chain) != 0) {
        return verify_broken(verify, head,
                             "its chain is not the one that meta has for the "
                             "head");
    }

    return 0;
}


static int
verify_broken(apikey_verify_t *verify, uint64_t version, const char *format,
              ...)
{
    va_list args;

    verify->broken = version;

    va_start(args, format);
    vsnprintf(verify->why, sizeof(verify->why), format, args);
    va_end(args);

    return -1;
}


/* SHA1(previous + "\n" + entry), in lower-case hex. */
static void
verify_chain(char        chain[static SHA1_DIGEST_STRING_LENGTH],
             const char *previous, const char *json, size_t len)
{
    SHA1_CTX sha1;

    SHA1Init(&sha1);
    SHA1Update(&sha1, (const uint8_t *) previous, strlen(previous));
    SHA1Update(&sha1, (const uint8_t *) "\n", 1);
    SHA1Update(&sha1, (const uint8_t *) json, len);
    SHA1End(&sha1, chain);
}
