/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * How one edge's table comes to be what the store's history says, and again
 * after a kill, a gap, or a failover that lost writes and uses their versions
 * once more: the snapshot, whose records are read one by one while changes go
 * on, the log, pushes in any order, and growth.  What a step does to the table is
 * one step here: table.pml looks into that.
 *
 * One key; some versions are others'.  Shown is:
 *
 *   - whenever the daemon may renew, the table says of the key what the
 *     store's history says at the version that is acknowledged, or that it is
 *     revoked, if this edge has seen that
 *   - what the table has once shown as revoked it never shows as anything else
 *     (G4), whatever was lost meanwhile
 *   - no publication takes back a change that was acknowledged, while the store
 *     still has it
 */

#include "rules.pml"

/* found: S1  follows from the version at which the last record was read */
#define S1_FIRST 1
/* found: S2  a snapshot goes on over a connection that is not the one it began on */
#define S2_LINK 2
/* found: S2  the same, once all records are in */
#define S2_CLOSE 3
/* found: S3  revocations are not carried over */
#define S3_CARRY 4
/* found: S4  published before the log was read from where the snapshot began */
#define S4_LOG 6
/* found: F1  an entry is applied whatever came before it */
#define F1_CHAIN 7
/* found: F1  an entry is applied over a gap */
#define F1_GAP 8
/* found: F2  a change that finds no room does not hold up the acknowledgement */
#define F2_ROOM 9
/* found: F3  what found no room is not read again after the growth */
#define F3_REPLAY 10
/* found: F3  the log leads on from where it is read again, but not through what was applied from there on */
#define F3_PASSED 15
/* found: F4  growth does not write to both */
#define F4_BOTH 11
/* found: F5  the same, whatever the store's verdict */
#define F5_VERDICT 12
/* found: F5  renews before the log was read over this connection, and through what is known to exist */
#define F5_DOUBT 13
/* found: a revoked key is not for ever: a later entry may bring it back */
#define G4_ABSORB 14

/* reached: renewed after a failover that lost what this edge had applied */
#define FORKED 100
/* reached: renewed after a kill in the middle of a snapshot */
#define KILLED 101
/* reached: a revocation that the store has lost is carried over */
#define CARRIED 102
/* reached: renewed after a growth for a change that found no room */
#define GROWN 103
/* reached: a version is used again, for another change of the key */
#define REUSED 104


#define V_MAX 3 /* versions in a history */

/* what an entry says of the key, and what a slot does */
#define OTHER    0 /* it is another key's; a slot: it is not there */
#define ENABLED  1
#define DISABLED 2
#define REVOKED  3

/* the store */
byte entry[V_MAX + 1];
byte head = 1;
bool failed;
byte fork = V_MAX;
byte lost[V_MAX + 1]; /* the entries that a failover lost */
byte lost_head;

#define tag(v)     (failed && (v) > fork)
#define part(v, t) ((v) <= head && tag(v) == (t))

/* the key's last change up to version v, in the store's history */
#define last(v)                              \
    ((v) >= 3 && entry[3] != OTHER -> 3 :    \
     ((v) >= 2 && entry[2] != OTHER -> 2 : 1))

/* the generation that readers use; it outlives the daemon */
byte cur, cur_version;
bool seen;            /* it was shown as revoked */

/* the daemon */
#define NONE    0
#define PREPARE 1     /* there is room; nothing is read yet */
#define READ    2     /* the first page is here: follows */
#define CARRY   3     /* the record is here */
#define CLOSE   4
#define FOLLOW  5     /* published */
#define LATE    6     /* S1 broken: the record is here, the page is not */
byte phase;
bool linked;
byte next, next_version;
byte at;
bool at_new;
byte want;            /* the highest version known to exist */
bool verified;        /* the log leads on from `at` */
byte growth;          /* 0 none, 1 begun, 2 carried */
bool replay;
byte replay_from;
bool replay_new;
byte passed;          /* how far it was when it was sent back */
bool passed_new;

byte acked;           /* the version that was acknowledged last */
bool acked_new;
bool tight; /* stricter by a change that found no room, and was lost */
bool grown, killed, carried;

#define following (phase >= READ)

inline resync()
{
    phase = NONE; tight = false; next = 0; next_version = 0; at = 0; at_new = false;
    want = 0; verified = false; growth = 0;
    replay = false; replay_from = 0; replay_new = false;
    passed = 0; passed_new = false
}

/* a change of the key, to a generation that shows (state, version) */
#define newer(state, version, e, v)                                   \
    ((e) != OTHER && (v) > (version)                                  \
     && (BROKEN(G4_ABSORB) || (state) != REVOKED || (e) == REVOKED))

inline put(state, version, e, v)
{
    if
    :: newer(state, version, e, v) -> state = e; version = v
    :: else
    fi
}

inline tighten(e)
{
    if
    :: (cur != OTHER && e > cur) ->
       cur = e
    :: else
    fi;
    seen = (seen || cur == REVOKED)
}

/* F: the entry behind `at`.  A no_room table takes it only as far as it is
   stricter. */
inline apply(e, v)
{
    if
    :: (phase == FOLLOW && growth == 0 && e != OTHER && no_room) ->
       if
       :: (!replay && !BROKEN(F2_ROOM)) ->
          replay = true; replay_from = at; replay_new = at_new
       :: else
       fi;
       tight = (tight || e > cur);
       tighten(e)
    :: (phase == FOLLOW && !(growth == 0 && e != OTHER && no_room)) ->
       put(cur, cur_version, e, v);
       seen = (seen || cur == REVOKED);
       if
       :: (growth == 2 && !BROKEN(F4_BOTH)) -> put(next, next_version, e, v)
       :: else
       fi
    :: else ->
       put(next, next_version, e, v);
       tighten(e)
    fi;
    at = v
}


/* One message: version v, of the history that is (t tells its chain), or of
   the one that was lost. */
inline push(e, v, t, previous)
{
    if
    :: (phase != FOLLOW && e != OTHER) -> tighten(e)
    :: else
    fi;

    if
    :: (phase == PREPARE) ->
       put(next, next_version, e, v);
       want = (v > want -> v : want)
    :: (following && v == at && t != at_new) -> resync()
    :: (following && v == at + 1
        && (previous == at_new || BROKEN(F1_CHAIN))) ->
       apply(e, v); at_new = t;
       if
       :: (v == passed && t != passed_new && !BROKEN(F3_PASSED)) -> resync()
       :: else
       fi
    :: (following && v == at + 1
        && !(previous == at_new || BROKEN(F1_CHAIN))) -> resync()
    :: (following && v > at + 1 && BROKEN(F1_GAP)) -> apply(e, v); at_new = t
    :: (following && v > at + 1 && !BROKEN(F1_GAP)) ->
       want = (v > want -> v : want)
    :: else
    fi
}


inline publish()
{
    assert(!seen || next == REVOKED);
    assert(next == REVOKED || !part(acked, acked_new)
           || next_version >= last(acked));
    cur = next; cur_version = next_version;
    tight = (tight && phase == FOLLOW);
    next = 0; next_version = 0;
    seen = (seen || cur == REVOKED)
}


/* What may have slipped by is a doubt.  S2: a snapshot begins again. */
inline links_lost()
{
    if
    :: (phase != FOLLOW && !(BROKEN(S2_LINK) && phase <= READ)
        && !(BROKEN(S2_CLOSE) && (phase == CARRY || phase == CLOSE)))
       -> resync()
    :: else
    fi
}


proctype daemon()
{
    byte v;
    bool no_room;

    do

    :: d_step { (!linked) -> linked = true; verified = false }

    /* S1: first where to follow from, then the record */
    :: d_step { (linked && phase == NONE) -> phase = PREPARE }

    :: d_step { (linked && phase == PREPARE && !BROKEN(S1_FIRST)) ->
           at = head; at_new = tag(head); phase = READ }

    :: d_step { (linked && (phase == READ
                            || (BROKEN(S1_FIRST) && phase == PREPARE))) ->
           v = last(head);
           put(next, next_version, entry[v], v);
           tighten(entry[v]);
           v = 0;
           phase = (BROKEN(S1_FIRST) -> LATE : CARRY) }

    :: d_step { (linked && phase == LATE) ->
           at = head; at_new = tag(head); phase = CARRY }

    /* S3 */
    :: d_step { (phase == CARRY) ->
           if
           :: (cur == REVOKED && !BROKEN(S3_CARRY)) ->
              carried = (rule == CARRIED && (carried || next != REVOKED));
              next_version = (next == OTHER -> cur_version : next_version);
              next = REVOKED
           :: else
           fi;
           phase = CLOSE; verified = false }

    /* S4 */
    :: d_step { (phase == CLOSE
                 && ((verified && want <= at) || BROKEN(S4_LOG))) ->
           publish(); phase = FOLLOW }

    /* the log: from `at`, if its chain is ours */
    :: d_step { (linked && following && phase != LATE
                 && (!verified || want > at)) ->
           if
           :: (!part(at, at_new)
               || (!part(passed, passed_new) && passed > at
                   && !BROKEN(F3_PASSED))) -> resync()
           :: else ->
              no_room = false;
              do
              :: (at < head) -> v = at + 1; apply(entry[v], v); at_new = tag(v)
              :: else -> break
              od;
              v = 0;
              want = at;
              verified = true
           fi }

    /* a push of the server that we are linked to: of late, again, or early */
    :: atomic { (linked && phase != LATE) ->
           if
           :: no_room = true
           :: no_room = false
           fi;
           if
           :: (head >= 1) -> v = 1
           :: (head >= 2) -> v = 2
           :: (head >= 3) -> v = 3
           fi;
           push(entry[v], v, tag(v), tag(v - 1));
           v = 0; no_room = false }

    /* one that was under way when its server was lost */
    :: atomic { (failed && !linked && lost_head > fork) ->
           if
           :: (fork + 1 <= lost_head) -> v = fork + 1
           :: (fork + 2 <= lost_head) -> v = fork + 2
           fi;
           push(lost[v], v, false, false);
           v = 0 }

    /* the links are lost */
    :: d_step { linked ->
           links_lost();
           linked = false; verified = false }

    /* F2, F3: room is made; then what found none is read again */
    :: d_step { (phase == FOLLOW && growth == 0) ->
           growth = 1 }

    :: d_step { (phase == FOLLOW && growth == 1) ->
           growth = 2; next = cur; next_version = cur_version }

    :: d_step { (phase == FOLLOW && growth == 2) ->
           publish(); growth = 0;
           if
           :: (replay && !BROKEN(F3_REPLAY)) ->
              want = (at > want -> at : want);
              passed_new = (at > passed -> at_new : passed_new);
              passed = (at > passed -> at : passed);
              at = replay_from; at_new = replay_new;
              grown = (rule == GROWN)
           :: else
           fi;
           replay = false; replay_from = 0; replay_new = false }

    /* W3, L: the renewal, its verdict, and what it acknowledges */
    :: d_step { (linked && phase == FOLLOW && !replay
                 && ((verified && want <= at) || BROKEN(F5_DOUBT)
                     || BROKEN(F5_VERDICT))) ->
           if
           :: (part(at, at_new) || BROKEN(F5_VERDICT)) ->
              assert(cur == entry[last(at)] || (cur == REVOKED && seen)
                     || (cur > entry[last(at)] && tight));
              acked = at; acked_new = at_new;
              REACH(FORKED, failed && lost_head > fork && at_new);
              REACH(KILLED, killed);
              REACH(CARRIED, carried);
              REACH(GROWN, grown)
           :: else -> resync()
           fi }

    /* kill -9 */
    :: d_step { (phase != NONE) ->
           killed = (rule == KILLED && (killed || phase != FOLLOW));
           resync(); linked = false }

    od
}


/* The store refuses what would bring a revoked key back. */
#define is_revoked (entry[last(head)] == REVOKED)

proctype store()
{
    byte i;

    do
    :: atomic { (head < V_MAX) ->
           if
           :: entry[head + 1] = OTHER
           :: (!is_revoked) -> entry[head + 1] = ENABLED
           :: (!is_revoked) -> entry[head + 1] = DISABLED
           :: (!is_revoked) -> entry[head + 1] = REVOKED
           fi;
           head++;
           REACH(REUSED, failed && entry[head] != OTHER && lost[head] != OTHER) }

    :: atomic { (!failed && head > 1) ->
           failed = true;
           lost_head = head;
           if
           :: fork = head - 1
           :: (head > 2) -> fork = head - 2
           fi;
           head = fork;
           i = fork + 1;
           do
           :: (i <= lost_head) -> lost[i] = entry[i]; entry[i] = OTHER; i++
           :: else -> break
           od;
           i = 0;
           if
           :: linked -> links_lost()
           :: else
           fi;
           linked = false; verified = false }
    od
}


init
{
    atomic {
        take_rule();
        entry[1] = ENABLED;
        run daemon(); run store()
    }
}
