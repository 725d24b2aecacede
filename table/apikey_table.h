/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The shared-memory contract between the daemon (one writer) and the nginx
 * workers (any number of readers): what lies where, who owns it, and in which
 * order it is written and read.
 *
 * A table is a directory:
 *
 *   control             one page, never replaced while the daemon lives
 *   keys.<generation>   header page, slots, record area
 *   lock                held (flock) by the one daemon that may write
 *
 * Fields are owned by the writer; readers map everything read-only.  The
 * files are in the machine's own byte order and hold no pointers.
 *
 * THE ORDER OF ONE DECISION (read.c), each step an acquire load:
 *
 *   R1  control.deadline
 *   R2  slot.state, one word: the key's status and which record is its own
 *   R3  generation.retired and control.generation
 *   R4  the clock; the view is fresh only if now < deadline
 *
 * THE ORDER OF ONE CHANGE AND ONE RENEWAL (write.c), each step a release
 * store:
 *
 *   W1  the record's bytes, then slot.state: in every live generation
 *   W2  when a generation replaces another: control.generation, then retired
 *       in the old one
 *   W3  only then may the daemon acknowledge, and publish control.deadline
 *   W4  some time after W2, and a full fence: the slots and records of the
 *       retired generation go back to the file system, and read as zeros from
 *       then on.  Its first page stays, and says that it is retired.
 *
 * R1 before R2 pairs with W1 before W3: who sees a deadline sees every change
 * that it vouches for.  R1 before R3 pairs with W2 before W3: who looked into
 * an old generation under a new deadline sees that it is retired.  R4 last: a
 * reader that was stopped anywhere in between finds the lease run out.
 *
 * R2 before R3 pairs with W2 before W4: zeros that W4 has left may look like
 * an empty slot (a key that nobody knows) or a damaged record, but who saw one
 * of them in R2 sees `retired` in R3, and decides nothing.  That a reader
 * looks at `retired` before R2 too is no part of this: it keeps readers that
 * were not in the middle of a look-up from faulting pages in again that were
 * just given back.
 */

#ifndef APIKEY_TABLE_H
#define APIKEY_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define APIKEY_TABLE_LAYOUT 2

#define APIKEY_CONTROL_MAGIC    0x314c54434b495041ULL /* "APIKCTL1" */
#define APIKEY_GENERATION_MAGIC 0x314e45474b495041ULL /* "APIKGEN1" */
#define APIKEY_ENDIAN_TAG       0x0102030405060708ULL

#define APIKEY_CONTROL_NAME    "control"
#define APIKEY_LOCK_NAME       "lock"
#define APIKEY_GENERATION_NAME "keys." /* and the generation, decimal */

#define APIKEY_CONTROL_SIZE    4096 /* bytes */
#define APIKEY_GENERATION_HEAD 4096 /* bytes; slots begin here */
#define APIKEY_SLOT_SIZE       64   /* bytes, one cache line */
#define APIKEY_SLOTS_MAX       (1ULL << 32)

/* A reader looks at no more slots than this for one digest, then "cannot
   know"; the writer grows the table rather than place a key further away. */
#define APIKEY_PROBES_MAX 1024

/* No lease is longer (docs/store.md, apikey_init); a deadline further away is
   damage.  Microseconds. */
#define APIKEY_LEASE_MAX 3600000000LL

#define APIKEY_TABLE_DIGEST_LEN 32
#define APIKEY_TABLE_PEPPERS    2
#define APIKEY_EPOCH_LEN        16 /* bytes; 32 hex digits in the store */
#define APIKEY_DAEMON_LEN       16 /* bytes of a daemon's id, random */
#define APIKEY_DAEMONS          8  /* that the control page remembers */

/* Bytes of texts in a record; the store enforces the same. */
#define APIKEY_RECORD_ID_MAX     24
#define APIKEY_RECORD_MEMBER_MAX 64
#define APIKEY_RECORD_TENANT_MAX 64
#define APIKEY_RECORD_NAME_MAX   128
#define APIKEY_RECORD_SCOPES_MAX (16 * 64 + 15)


/*
 * Status codes, of 12 bits, differ from each other in 8 bits and from zero in
 * 4.  Zero, and anything that is no code, denies.
 */
typedef enum {
    APIKEY_EMPTY = 0x000,
    APIKEY_ENABLED = 0x00f,
    APIKEY_DISABLED = 0x0f0,
    APIKEY_REVOKED = 0xf00
} apikey_status_t;


/*
 * A sealed word: 48 bits of value and 16 bits of check, so that a reader
 * tells a damaged word from a value.  The check is linear over GF(2) but for
 * a constant that makes an all-zero word invalid; its 64 columns (these 48 and
 * the check's own 16) are distinct and not zero, so no one or two flipped bits
 * pass, whatever the value (t/unit/table_seal.c tries every pair).
 */
#define APIKEY_SEAL_BITS 48
#define APIKEY_SEAL_MASK ((1ULL << APIKEY_SEAL_BITS) - 1)

static inline uint16_t
apikey_rotate(uint16_t w, unsigned n)
{
    return (uint16_t) (w << n | w >> (16 - n));
}

/* value must be <= APIKEY_SEAL_MASK */
static inline uint64_t
apikey_seal(uint64_t value)
{
    uint16_t a = (uint16_t) value;
    uint16_t b = (uint16_t) (value >> 16);
    uint16_t c = (uint16_t) (value >> 32);
    uint16_t check = 0x5aa5;

    check ^= a ^ apikey_rotate(a, 1);
    check ^= b ^ apikey_rotate(b, 1) ^ apikey_rotate(b, 3);
    check ^= c ^ apikey_rotate(c, 2) ^ apikey_rotate(c, 7);

    return value | (uint64_t) check << APIKEY_SEAL_BITS;
}

/* Returns 1 and the value, or 0 if the word is damaged. */
static inline int
apikey_unseal(uint64_t word, uint64_t *value)
{
    *value = word & APIKEY_SEAL_MASK;

    return apikey_seal(*value) == word;
}


/*
 * The check over headers and records: each step is a bijection of the state
 * for a given word and of the word for a given state, so damage confined to
 * one aligned 8-byte word is always seen.  len must be a multiple of 8.
 */
static inline uint64_t
apikey_check(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t             h = 0x6a09e667f3bcc908ULL ^ len;
    uint64_t             w;

    for (; len; len -= sizeof(w), p += sizeof(w)) {
        __builtin_memcpy(&w, p, sizeof(w));
        h = (h ^ w) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }

    return h;
}


/*
 * Why the daemon had to do more than follow.  Each is counted, in
 * control.figure[APIKEY_FIGURE_CAUSE + cause]; what it means and what to do
 * about it is in store-sync/cause.c and docs/operations.md.
 */
typedef enum {
    /* what became of a message of the channel */
    APIKEY_CAUSE_LOST = 0,
    APIKEY_CAUSE_DUPLICATED,
    APIKEY_CAUSE_REORDERED,

    /* of a full resync */
    APIKEY_CAUSE_START,
    APIKEY_CAUSE_TRIMMED,
    APIKEY_CAUSE_FORK,
    APIKEY_CAUSE_AHEAD,
    APIKEY_CAUSE_EPOCH,
    APIKEY_CAUSE_UNREADABLE,
    APIKEY_CAUSE_TABLE,
    APIKEY_CAUSE_ROOM,
    APIKEY_CAUSE_LINK,

    /* why the store refuses */
    APIKEY_CAUSE_EMPTIED,
    APIKEY_CAUSE_NOINIT,
    APIKEY_CAUSE_LOADING,
    APIKEY_CAUSE_READONLY,
    APIKEY_CAUSE_MISCONF,
    APIKEY_CAUSE_OOM,
    APIKEY_CAUSE_NOREPLICAS,
    APIKEY_CAUSE_BUSY,
    APIKEY_CAUSE_NOPERM,
    APIKEY_CAUSE_NOLIBRARY,
    APIKEY_CAUSE_AUTH,
    APIKEY_CAUSE_NAME,
    APIKEY_CAUSE_REFUSED,

    /* of the end of a connection */
    APIKEY_CAUSE_RESET,
    APIKEY_CAUSE_SILENT,
    APIKEY_CAUSE_UNREACHABLE,
    APIKEY_CAUSE_UNRESOLVED,
    APIKEY_CAUSE_PROTOCOL,
    APIKEY_CAUSE_SERVER,
    APIKEY_CAUSE_SYSTEM,

    /* the canary could not be measured */
    APIKEY_CAUSE_CANARY,

    APIKEY_CAUSE_COUNT, /* not a cause */
    APIKEY_CAUSE_NONE = APIKEY_CAUSE_COUNT
} apikey_cause_t;


/* What the daemon tells about itself: index into control.figure.  The names
   are in figure.h. */
typedef enum {
    APIKEY_FIGURE_PID = 0,     /* 0 after a clean stop */
    APIKEY_FIGURE_STARTED,     /* seconds since 1970 */
    APIKEY_FIGURE_STATE,       /* apikey_sync_state_t, figure.h */
    APIKEY_FIGURE_VERSION,     /* applied */
    APIKEY_FIGURE_LEASE,       /* milliseconds */
    APIKEY_FIGURE_RENEWED,     /* CLOCK_BOOTTIME, microseconds; 0 never */
    APIKEY_FIGURE_APPLIED,     /* changes applied since the start */
    APIKEY_FIGURE_CATCHUPS,    /* log reads because of a gap */
    APIKEY_FIGURE_SNAPSHOTS,   /* full resyncs */
    APIKEY_FIGURE_GROWTHS,     /* generations built to make room */
    APIKEY_FIGURE_RECONNECTS,  /* connections lost */
    APIKEY_FIGURE_CONFLICTS,   /* keys seen revoked that the store calls alive:
                                 now */
    APIKEY_FIGURE_FORGOTTEN,   /* keys seen revoked that the store did not know
                                 at the last full resync */
    APIKEY_FIGURE_ERRORS,      /* changes that could not be applied */
    APIKEY_FIGURE_KEPT,        /* revocations in the state directory */
    APIKEY_FIGURE_KEEP_ERRORS, /* times that it could not be written */
    APIKEY_FIGURE_CAUSE, /* how often the first cause was; then the rest */
    APIKEY_FIGURE_CAUSE_LAST = APIKEY_FIGURE_CAUSE + APIKEY_CAUSE_COUNT - 1,
    APIKEY_FIGURE_CANARY_COUNT, /* samples since the start; their failures are
                                   counted by APIKEY_CAUSE_CANARY */
    APIKEY_FIGURE_CANARY_P50,   /* microseconds, of the last 1,000 */
    APIKEY_FIGURE_CANARY_P99,
    APIKEY_FIGURE_CANARY_MAX,
    APIKEY_FIGURE_COUNT /* not a figure */
} apikey_figure_t;


typedef _Atomic uint64_t apikey_word_t;

/* CLOCK_BOOTTIME in microseconds; from the vDSO, no system call.  The clock of
   every deadline: it runs on while the machine sleeps, and nobody sets it. */
static inline uint64_t
apikey_boottime(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}

/* control */
typedef struct {
    /* written once, before the file gets its name */
    uint64_t magic;
    uint64_t endian;
    uint32_t layout;
    uint32_t size;
    uint8_t  boot_id[16]; /* of the kernel: deadlines of another boot are
                             meaningless */
    uint64_t created;     /* microseconds of CLOCK_BOOTTIME */
    uint64_t inode;       /* of this file: a copy has another */
    uint64_t check;       /* apikey_check() of all before it */

    /* read by every decision */
    apikey_word_t deadline;   /* sealed; microseconds of CLOCK_BOOTTIME */
    apikey_word_t generation; /* sealed; 0 while there is none */
    apikey_word_t pepper[APIKEY_TABLE_PEPPERS]; /* fingerprints of the peppers
                                                   that the store's keys use;
                                                   0: none */
    uint8_t       pad1[32];

    /* raised after each change to any slot, and with each generation */
    apikey_word_t changes;
    uint8_t       pad2[56];

    /* the daemons that wrote this table, newest first; zeros: none.  For the
       next one, which tells the store whom it follows. */
    uint8_t daemon[APIKEY_DAEMONS][APIKEY_DAEMON_LEN];

    apikey_word_t figure[APIKEY_FIGURE_COUNT];
} apikey_control_t;

/* keys.<generation>, its first page */
typedef struct {
    /* written once, before control names the generation */
    uint64_t magic;
    uint64_t endian;
    uint32_t layout;
    uint32_t slot_size;
    uint64_t generation;
    uint64_t slots;   /* count; not a power of two */
    uint64_t records; /* bytes; they begin right after the slots */
    uint64_t size;    /* of the file; it never shrinks */
    uint8_t  epoch[APIKEY_EPOCH_LEN]; /* of the store it was built from */
    uint64_t seed[4];                 /* random, odd; of apikey_slot_home() */
    uint64_t inode;                   /* of this file: a copy has another */
    uint64_t check;                   /* apikey_check() of all before it */
    uint8_t  pad0[8];

    apikey_word_t retired; /* not zero: look into the current generation */
    uint8_t       pad1[56];

    /* the writer's books, for figures; readers decide nothing by them */
    apikey_word_t records_used; /* bytes */
    apikey_word_t enabled;      /* keys */
    apikey_word_t disabled;
    apikey_word_t revoked;
} apikey_generation_t;

/*
 * A slot.  Empty while state is zero.  The digest is written before the first
 * state and never again.  Whatever a change does, to the status, to the texts
 * or to both, becomes visible by one store to `state`: there is no odd window,
 * nothing to retry, and the writer may be killed between any two instructions.
 */
typedef struct {
    apikey_word_t state; /* sealed: offset of the record in the record
                                area / 8 (36 bits), status (12 bits) */
    apikey_word_t digest[4];
    apikey_word_t version; /* of the key's last change; the writer's, to
                              merge by.  Stored before state: a reader may
                              see it a change early. */
    apikey_word_t
        held[2]; /* apikey_table_revocation_t, the writer's: the one that a
                              revoked slot holds to.  Stored before state. */
} apikey_slot_t;

/*
 * Which revocation.  The version alone would not do: a store that has lost
 * its last changes uses their versions again.
 */
typedef struct {
    uint64_t version; /* of the change; 0: none */
    uint64_t stamp; /* its time, milliseconds since 1970, the store's clock */
} apikey_table_revocation_t;

#define APIKEY_STATUS_BITS 12
#define APIKEY_OFFSET_MAX  (((1ULL << 36) - 1) * 8) /* bytes */
#define APIKEY_VERSION_MAX ((1ULL << 48) - 1)

static inline uint64_t
apikey_state(uint64_t offset, apikey_status_t status)
{
    return apikey_seal(offset / 8 << APIKEY_STATUS_BITS | (uint64_t) status);
}

/* Returns 1 and what the word says; 0 if it is damaged or no status. */
static inline int
apikey_state_split(uint64_t word, uint64_t *offset, apikey_status_t *status)
{
    uint64_t value;

    if (!apikey_unseal(word, &value)) {
        return 0;
    }

    *status = (apikey_status_t) (value & ((1U << APIKEY_STATUS_BITS) - 1));
    *offset = (value >> APIKEY_STATUS_BITS) * 8;

    return *status == APIKEY_ENABLED || *status == APIKEY_DISABLED
           || *status == APIKEY_REVOKED;
}

/*
 * A record: this head, then the texts in the order of their lengths, without
 * separators, and zeros up to a multiple of 8.  Never changed once a slot
 * refers to it; an edit appends another.
 */
typedef struct {
    uint64_t check;   /* apikey_check() of all after it */
    uint64_t digest;  /* the slot's digest[0]: binds the two */
    uint64_t expires; /* seconds since 1970; 0: never */
    uint16_t size;    /* bytes, this head included; a multiple of 8 */
    uint8_t  id_len;
    uint8_t  member_len;
    uint8_t  tenant_len;
    uint8_t  name_len;
    uint16_t scopes_len;
} apikey_table_record_t;

#define APIKEY_RECORD_SIZE_MAX                             \
    (sizeof(apikey_table_record_t) + APIKEY_RECORD_ID_MAX  \
     + APIKEY_RECORD_MEMBER_MAX + APIKEY_RECORD_TENANT_MAX \
     + APIKEY_RECORD_NAME_MAX + APIKEY_RECORD_SCOPES_MAX + 7)

_Static_assert(sizeof(apikey_word_t) == 8, "atomic words are plain words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomic words need no lock");
_Static_assert(offsetof(apikey_control_t, check) == 56, "layout");
_Static_assert(offsetof(apikey_control_t, deadline) == 64, "layout");
_Static_assert(offsetof(apikey_control_t, changes) == 128, "layout");
_Static_assert(offsetof(apikey_control_t, daemon) == 192, "layout");
_Static_assert(offsetof(apikey_control_t, figure) == 320, "layout");
_Static_assert(sizeof(apikey_control_t) <= APIKEY_CONTROL_SIZE, "layout");
_Static_assert(offsetof(apikey_generation_t, check) == 112, "layout");
_Static_assert(offsetof(apikey_generation_t, retired) == 128, "layout");
_Static_assert(offsetof(apikey_generation_t, records_used) == 192, "layout");
_Static_assert(sizeof(apikey_generation_t) <= APIKEY_GENERATION_HEAD,
               "layout");
_Static_assert(sizeof(apikey_slot_t) == APIKEY_SLOT_SIZE, "layout");
_Static_assert(sizeof(apikey_table_record_t) == 32, "layout");

/*
 * Where the search for a digest begins.  Digests are uniform if they were made
 * as they should be; with a secret of each generation, one that was not can't
 * be aimed at a crowded place either (multiply-shift hashing).
 */
static inline uint64_t
apikey_slot_home(const uint64_t digest[static 4],
                 const uint64_t seed[static 4], uint64_t slots)
{
    uint64_t h = digest[0] * seed[0] + digest[1] * seed[1]
                 + digest[2] * seed[2] + digest[3] * seed[3];

    return (uint64_t) (((unsigned __int128) h * slots) >> 64);
}

#endif /* APIKEY_TABLE_H */
