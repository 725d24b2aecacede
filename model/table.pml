/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The table of one edge (table/apikey_table.h), load by load and store by
 * store: a worker that may stop between any two loads, a daemon that may be
 * killed between any two stores, generations that replace each other.
 * model/README.md says what this leaves out and why that is no loss.
 *
 * One key, enabled at first; the store revokes it at some moment.  Shown is:
 *
 *   - a check that begins after the acknowledgement does not allow
 *   - no check allows on a view older than L (G2); the decision falls with the
 *     last of the four loads
 *   - a key that is there is never taken for unknown, and a worker that is told
 *     to look elsewhere finds another generation
 */

#include "rules.pml"

/* Rules that can be broken: what is expected of the checker, and which. */

/* found: W1  a change during a growth goes to the current generation alone */
#define W1_BOTH 1
/* found: W1  no fence before the acknowledgement: the store is still on its way */
#define W1_FENCE 2
/* found: W2  retired before control.generation: who is sent away finds no other */
#define W2_ORDER 3
/* found: W2  a change that comes when the next generation is complete goes to it alone, and is acknowledged before that is published */
#define W2_ACK 4
/* found: W3  acknowledged before the state word is stored */
#define W3_ACK 5
/* found: W3  the deadline is published before the change that it vouches for */
#define W3_APPLY 6
/* found: W3  the deadline is published while a snapshot is not */
#define W3_SNAPSHOT 7
/* found: W3  the deadline counts from the store's answer, not from before the question */
#define W3_SENT 8
/* found: a new daemon takes what it adopted for the store's state */
#define ADOPT 9
/* found: R3  left out */
#define R3_NONE 10
/* found: R3  looks at retired alone: the daemon may be killed before it is set */
#define R3_RETIRED 11
/* found: R4  the clock of when the check began, R1 being last */
#define R4_BEGIN 12
/* holds: R3  looks at control.generation alone: retired is a second lock on the same door */
#define R3_GENERATION 13
/* holds: W2  acknowledged between control.generation and retired, for the same reason */
#define W2_BETWEEN 14

/* The orders of the four loads other than R1 R2 R3 R4; the number is the order. */

/* found: order R1 R2 R4 R3 */
#define ORDER_1243 1243
/* found: order R1 R3 R2 R4: a retired generation's pages are given back, and read as if the key were unknown */
#define ORDER_1324 1324
/* found: order R1 R3 R4 R2 */
#define ORDER_1342 1342
/* found: order R1 R4 R2 R3 */
#define ORDER_1423 1423
/* found: order R1 R4 R3 R2 */
#define ORDER_1432 1432
/* found: order R2 R1 R3 R4 */
#define ORDER_2134 2134
/* found: order R2 R1 R4 R3 */
#define ORDER_2143 2143
/* found: order R2 R3 R1 R4 */
#define ORDER_2314 2314
/* found: order R2 R3 R4 R1 */
#define ORDER_2341 2341
/* found: order R2 R4 R1 R3 */
#define ORDER_2413 2413
/* found: order R2 R4 R3 R1 */
#define ORDER_2431 2431
/* found: order R3 R1 R2 R4 */
#define ORDER_3124 3124
/* found: order R3 R1 R4 R2 */
#define ORDER_3142 3142
/* found: order R3 R2 R1 R4 */
#define ORDER_3214 3214
/* found: order R3 R2 R4 R1 */
#define ORDER_3241 3241
/* found: order R3 R4 R1 R2 */
#define ORDER_3412 3412
/* found: order R3 R4 R2 R1 */
#define ORDER_3421 3421
/* found: order R4 R1 R2 R3 */
#define ORDER_4123 4123
/* found: order R4 R1 R3 R2 */
#define ORDER_4132 4132
/* found: order R4 R2 R1 R3 */
#define ORDER_4213 4213
/* found: order R4 R2 R3 R1 */
#define ORDER_4231 4231
/* found: order R4 R3 R1 R2 */
#define ORDER_4312 4312
/* found: order R4 R3 R2 R1 */
#define ORDER_4321 4321

/* What can happen at all, or the above would say nothing. */

/* reached: a check allows before the revoke */
#define ALLOWS 100
/* reached: a check is denied because its lease ran out while it was stopped */
#define PAUSED 101
/* reached: a check begins after the acknowledgement and is denied under a lease */
#define DENIES 102
/* reached: a worker of an old generation is sent to the next */
#define MOVES 103
/* reached: the acknowledgement after a kill between control.generation and retired */
#define KILLED 104


/* How far it goes. */
#define L     1 /* the lease, in ticks */
#define T_MAX 3 /* the clock stops */
#define G_MAX 3 /* generations in all */
#define KILLS 1

/* what a slot says */
#define UNKNOWN 0
#define ENABLED 1
#define REVOKED 2

/* the shared memory; generation 0 is none */
byte control_generation = 1;
byte control_deadline = L;
byte slot[G_MAX + 1];
bool retired[G_MAX + 1];

/* the store */
bool store_revoked; /* its key */
byte revoked_at;    /* when */
bool acked;         /* it has the acknowledgement */

byte time;          /* CLOCK_BOOTTIME, of which one host has one */


/* The daemon.  What a kill takes from it: */

byte cur = 1;       /* the generation that readers use */
byte next;          /* the one that is being built */
byte number = 1;    /* the highest that ever was */
bool ours = true;   /* cur is the state of the store: not adopted */
bool snapshot;      /* next is built from the store, else to grow */
bool complete;      /* next has everything that cur or the store has */
bool applied;       /* the revoke is in every live generation */
bool half;          /* W1 is under way: cur has it, next has not */
bool buffered;      /* in a processor's store buffer, if W1 has no fence */
byte publishing;    /* W2 is under way: one of its two stores is done */

#define IDLE    0
#define SENT    1   /* the renewal is out */
#define GRANTED 2   /* the answer is here; the lease is not published */
byte renewal;
byte sent_at;
bool sent_applied;  /* what it acknowledges */
bool head_revoked;  /* the head that the answer named has the revoke */

byte kills;
bool killed_between; /* a daemon died between the two stores of W2 */


/* Until `next` is published, what is adopted only gets stricter. */
#define live_next (next != 0)

proctype daemon()
{
    do

    /* W1: the state word in each live generation, one after the other */

    :: d_step { (store_revoked && !applied && !half && publishing == 0
                && !(BROKEN(W2_ACK) && complete))
                -> if
                   :: (BROKEN(W1_FENCE) && !live_next)
                      -> buffered = true; applied = true
                   :: else
                      -> slot[cur] = REVOKED;
                         half = (live_next && !BROKEN(W1_BOTH));
                         applied = !half
                   fi }

    :: d_step { half -> slot[next] = REVOKED; half = false; applied = true }

    :: d_step { (BROKEN(W2_ACK) && complete && store_revoked && !applied
                && publishing == 0 && !snapshot)
                -> slot[next] = REVOKED; applied = true }

    :: d_step { buffered -> slot[cur] = REVOKED; buffered = false }

    /* the next generation: to grow, or from the store */

    :: d_step { (next == 0 && number < G_MAX && !half && !buffered
                && publishing == 0 && ours)
                -> number++; next = number; snapshot = false }

    :: d_step { (next == 0 && number < G_MAX && !half && !buffered
                && publishing == 0)
                -> number++; next = number; snapshot = true; ours = false;
                   applied = false; renewal = IDLE }

    /* growth: each slot is copied; a snapshot: the store's record is read, and
       revocations are carried over.  Changes go on meanwhile. */

    :: d_step { (live_next && !complete && !snapshot && !half && !buffered)
                -> slot[next] = slot[cur]; complete = true }

    :: d_step { (live_next && !complete && snapshot && !half)
                -> if
                   :: (store_revoked || slot[cur] == REVOKED
                      || slot[next] == REVOKED) -> slot[next] = REVOKED
                   :: else -> slot[next] = ENABLED
                   fi;
                   complete = true }

    /* W2.  The log is read before a snapshot is published: it is at the head. */

    :: d_step { (live_next && complete && publishing == 0 && !half && !buffered
                && (!snapshot || !store_revoked || slot[next] == REVOKED))
                -> if
                   :: (BROKEN(W2_ORDER)) -> retired[cur] = true
                   :: else -> control_generation = next
                   fi;
                   publishing = 1 }

    :: d_step { publishing == 1
                -> if
                   :: (BROKEN(W2_ORDER)) -> control_generation = next
                   :: else -> retired[cur] = true
                   fi;
                   publishing = 0;
                   ours = (ours || snapshot);
                   applied = (applied || slot[next] == REVOKED);
                   cur = next; next = 0; complete = false }

    /* W3: the renewal, which acknowledges, and the deadline */

    :: d_step { (renewal == IDLE && time < T_MAX
                && (publishing == 0 || BROKEN(W2_BETWEEN))
                && (ours || BROKEN(W3_SNAPSHOT) || BROKEN(ADOPT)))
                -> sent_at = time; renewal = SENT;
                   if
                   :: (BROKEN(W3_ACK)) -> sent_applied = store_revoked
                   :: (BROKEN(W2_BETWEEN) && publishing == 1)
                      -> sent_applied = (slot[next] == REVOKED)
                   :: (BROKEN(ADOPT) && !ours) -> sent_applied = store_revoked
                   :: else -> sent_applied = applied
                   fi }

    :: d_step { renewal == SENT
                -> acked = (acked || sent_applied);
                   head_revoked = store_revoked;
                   renewal = GRANTED }

    :: d_step { (renewal == GRANTED && publishing == 0 && !buffered
                && (!head_revoked || applied || BROKEN(W3_APPLY)
                    || (BROKEN(W3_SNAPSHOT) && !ours
                        && slot[next] == REVOKED)
                    || (BROKEN(ADOPT) && !ours)))
                -> control_deadline = (BROKEN(W3_SENT) -> time : sent_at) + L;
                   renewal = IDLE;
                   sent_at = 0; sent_applied = false; head_revoked = false }

    :: d_step { renewal != IDLE -> /* an error, or the connection is lost */
                renewal = IDLE; sent_at = 0; sent_applied = false;
                head_revoked = false }

    /* pages of a retired generation are given back */

    :: d_step { (cur > 1 && slot[cur - 1] != UNKNOWN && publishing == 0
                && retired[cur - 1])
                -> slot[cur - 1] = UNKNOWN }

    /* kill -9, and the next daemon adopts the control page and the generation
       that it names; stores that are in flight get there */

    :: d_step { kills < KILLS
                -> kills++;
                   if
                   :: buffered -> slot[cur] = REVOKED
                   :: else
                   fi;
                   killed_between = (killed_between || publishing == 1);
                   cur = control_generation; next = 0; ours = false;
                   snapshot = false; complete = false; applied = false;
                   half = false; buffered = false; publishing = 0;
                   renewal = IDLE; sent_at = 0; sent_applied = false;
                   head_revoked = false }

    od
}


/* The worker: R1 to R4, in the order that is under test. */

byte order[4];

/* the decision falls with the last load */
#define LOADED \
    i++; stale = (i == 4 && store_revoked && time - revoked_at >= L)

proctype worker()
{
    byte map = 1;     /* the generation that it has mapped */
    byte i;
    bool after;       /* the check begins after the acknowledgement */
    bool moved;       /* R3 says so */
    bool stale;       /* the revoke is older than L */
    byte deadline, state, clock, begun;

    do
    :: d_step { (i == 0) ->
           after = acked;
           if
           :: BROKEN(R4_BEGIN) || BROKEN(PAUSED) -> begun = time
           :: else
           fi }

       do
       :: d_step { (i < 4 && order[i] == 1)
                   -> deadline = control_deadline; LOADED }

       :: d_step { (i < 4 && order[i] == 2) -> state = slot[map]; LOADED }

       /* two loads */
       :: d_step { (i < 4 && order[i] == 3)
                   -> moved = (retired[map] && !BROKEN(R3_NONE)
                               && !BROKEN(R3_GENERATION)) }
          d_step { moved = (moved
                            || (control_generation != map && !BROKEN(R3_NONE)
                                && !BROKEN(R3_RETIRED)));
                   LOADED }

       :: d_step { (i < 4 && order[i] == 4)
                   -> clock = (BROKEN(R4_BEGIN) -> begun : time); LOADED }

       :: d_step { (i == 4) ->
              if
              :: moved ->
                 assert(control_generation != map);
                 REACH(MOVES, true);
                 map = control_generation
              :: else ->
                 assert(state != UNKNOWN);
                 if
                 :: (state == ENABLED && clock < deadline) ->
                    assert(!after);
                    assert(!stale);
                    REACH(ALLOWS, !store_revoked)
                 :: (state == ENABLED && clock >= deadline) ->
                    REACH(PAUSED, begun < deadline)
                 :: else ->
                    REACH(DENIES, after && clock < deadline);
                    REACH(KILLED, after && killed_between)
                 fi
              fi;
              i = 0; after = false; moved = false; stale = false;
              deadline = 0; state = 0; clock = 0; begun = 0 }
          break
       od
    od
}


proctype store()
{
    d_step { !store_revoked -> store_revoked = true; revoked_at = time }
}


proctype clock_ticks()
{
    do
    :: d_step { time < T_MAX -> time++ }
    od
}

init
{
    atomic {
        take_rule();
        slot[1] = ENABLED;
        if
        :: rule > 1234
           -> order[0] = rule / 1000; order[1] = rule / 100 % 10;
              order[2] = rule / 10 % 10; order[3] = rule % 10
        :: else
           -> order[0] = 1; order[1] = 2; order[2] = 3; order[3] = 4
        fi;
        run daemon(); run worker(); run store(); run clock_ticks()
    }
}
