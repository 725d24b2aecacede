/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Lease, acknowledgement and wait: a store that may fail over and lose writes,
 * two edges that snapshot, follow and renew and may be killed, an admin that
 * waits for a change.  What one edge does to its table is one step here:
 * table.pml and resync.pml show why it may be; model/README.md has the seams.
 *
 * One key, enabled at first; the admin revokes or disables it, and waits.
 * Shown is:
 *
 *   - once the wait has returned proven, no edge allows the key; if it was
 *     revoked, also after a failover that lost the revoke: on every edge if a
 *     replica was waited for, else on every edge that acknowledged
 *   - no edge allows it for longer than a lease after the store took the change,
 *     waited for or not (G2)
 */

#include "rules.pml"

/* found: L1  the deadline counts from the store's answer, not from before the question */
#define L1_SENT 1
/* found: L2  acknowledges what it has heard of, and has yet to apply */
#define L2_APPLIED 2
/* found: L3  renews whatever the store says: a fork, a lower head */
#define L3_VERDICT 3
/* found: L4  publishes the deadline before it has applied through the head */
#define L4_HEAD 4
/* found: L5  follows pushes of one server while it renews with another */
#define L5_SERVER 5
/* found: S1  a new daemon takes what it adopted for the store's state */
#define S1_ADOPT 6
/* found: S2  revocations are not carried over into what is built from the store */
#define S2_CARRY 7
/* found: A1  the wait counts from before the change was accepted */
#define A1_START 8
/* found: A2  the change's own verdict by version, without the chain */
#define A2_CHAIN 9
/* found: A3  silent edges are not waited for */
#define A3_SILENT 10
/* found: A3  no margin for the drift of clocks */
#define A3_DRIFT 11
/* found: A3  by the lease, with an answer that was asked for before it had run out */
#define A3_ASKED 12
/* found: A4  no replica is waited for */
#define A4_REPLICA 13
/* found: A4  WAIT over another connection than the change's, which says 1 as long as there is a replica */
#define A4_CONNECTION 14
/* holds: A2  an edge's verdict by version, without the chain: renewals and changes replicate in one order, and a renewal's own verdict has looked at it */
#define A2_EDGE 15

/* reached: proven, both edges having acknowledged */
#define ACKED 100
/* reached: proven, one edge being silent and its table still allowing but for the lease */
#define SILENT 101
/* reached: proven, then a failover that loses the change, and an edge live again */
#define LOST 102
/* reached: unknown, because the change is not part of the history any more */
#define OUTCOME 103
/* reached: proven with a replica, then a failover, then an edge that was silent comes back */
#define BACK 104

/* holds: G2, waited for or not */
#define G2 110
/* reached: a lease after a change the key is refused under a lease */
#define G2_LIVE 111

/* holds: edges that are new or forgotten, no failover */
#define FORGET 200
/* found: A5  an edge is forgotten whose lease may last */
#define A5_LIVE 201
/* reached: proven after an edge was forgotten */
#define FORGOTTEN 202

/* holds: two daemons of one edge name, no failover */
#define TWINS 300
/* found: L6  the store does not tell them apart */
#define L6_NAME 301
/* reached: proven, and the other daemon has taken over the name */
#define TAKEN 302

/* holds: a control page that is lost, no failover */
#define PAGE 400
/* found: L7  the new page's daemon does not hold its acknowledgement until the lost one's lease is over */
#define L7_HOLD 401
/* reached: acknowledged after a page was lost under a lease */
#define HELD 402

/* What the promise rests on: without it, it falls. */

/* found: assumed  one primary at a time: the old one goes on serving */
#define TWO_PRIMARIES 500
/* found: assumed  a failover loses no renewal by which an edge came to be known */
#define LOST_EDGE 501
/* found: assumed  a failover loses no renewal that is younger than a lease (name) */
#define LOST_NAME 502
/* found: assumed  a failover loses no renewal that is younger than a lease (page) */
#define LOST_PAGE 503
/* found: assumed  a failover loses no renewal that is younger than a lease (forget) */
#define LOST_LIVE 504


#define L     1 /* the lease, in ticks of the admin's clock */
#define DRIFT 1 /* that an edge's clock may take longer over it, at most */
#define OVER  (L + DRIFT)
#ifndef V_MAX
#define V_MAX 2 /* versions in a history */
#endif

#define failovers (rule < 200 || rule >= 500)
#define forgets   (rule / 100 == 2 || rule == LOST_LIVE)
#define twins     (rule / 100 == 3 || rule == LOST_NAME)
#define pages     (rule / 100 == 4 || rule == LOST_PAGE)
#define ages      (forgets || twins || pages)
#define unknown_edge (rule == LOST_EDGE || rule / 100 == 2)

bool revoke; /* or disable */


/*
 * The store.  A version's chain is told by one bit: whether it came after the
 * failover; versions up to the fork are of both histories.
 */
bool failed;
byte fork;
byte head = 1;
byte changed;     /* the version of the change; 0: it is not in this history */

byte rec[2];      /* by edge name: the version acknowledged last, or 0 */
bool rec_new[2];  /* its chain */
byte rec_by[2];   /* which daemon */
byte rec_age[2];  /* ticks since, up to OVER */

#define tag(v)     (failed && (v) > fork)
#define part(v, t) ((v) <= head && tag(v) == (t))

/* what was lost: late pushes may still bring it */
byte lost_head, lost_changed;


/* The edges. */
byte lease[2];    /* ticks that the published lease lasts, at most */
bool refused[2];  /* the key, by the table */
bool fresh[2];    /* the table is what `at` says; else a snapshot is needed */
byte at[2];
bool at_new[2];   /* its chain */
bool linked[2];   /* to the primary that is one now */

#define IDLE    0
#define SENT    1
#define GRANTED 2
byte renewal[2];
byte sent[2];     /* the version that it acknowledges */
bool sent_new[2];
byte sent_age[2]; /* ticks since it was sent, up to OVER */
byte granted[2];  /* the head that the answer named */

/* workers of a control page that was lost */
byte ghost;       /* ticks that its lease lasts */
bool ghost_refused;
byte hold;        /* ticks that the new page's daemon acknowledges nothing */
bool page_lost;


/* The admin. */
#define BEFORE   0
#define ACCEPTED 1 /* by the store; the answer is not here */
#define WAITING  2
#define PROVEN   3
byte wait;
byte mine;         /* the change's version */
bool mine_new;     /* its chain */
byte waited;       /* ticks since the answer, up to OVER */
byte since;        /* ticks since the store took it, up to OVER */
bool replica;      /* proven with --replicas=1 */
bool acked[2];     /* counted as an acknowledgement */
bool lost_later;   /* a failover lost the change after proven */
bool forgot;

#define allows(e) \
    ((lease[e] > 0 && !refused[e]) || (e == 0 && ghost > 0 && !ghost_refused))

#define wrong(e)                                                        \
    (allows(e)                                                          \
     && ((wait == PROVEN                                                \
          && (replica || !lost_later || (revoke && acked[e])))          \
         || (since == OVER && changed != 0)))

inline safe()
{
    assert(!wrong(0));
    assert(!wrong(1))
}

inline forget_renewal(e)
{
    renewal[e] = IDLE; sent[e] = 0; sent_new[e] = 0; sent_age[e] = 0;
    granted[e] = 0
}

inline unsound(e)
{
    fresh[e] = false; at[e] = 0; at_new[e] = 0; forget_renewal(e)
}


/* Two edges, or two daemons of one name. */
#define name(e) (twins -> 0 : e)

/* What another daemon of this name renewed may still last. */
#define named(e)                                             \
    (twins && rec[0] != 0 && rec_by[0] != e && rec_age[0] < OVER \
     && !BROKEN(L6_NAME))

proctype edge(byte e)
{
    do

    /* connect: to whoever is primary now; what an earlier one granted is void */
    :: d_step { (!linked[e]) -> linked[e] = true; forget_renewal(e) }

    /* S: what resync.pml looks into */
    :: d_step { (linked[e] && !fresh[e]) ->
           if
           :: BROKEN(S1_ADOPT) -> skip
           :: else -> refused[e] = (changed != 0 || (revoke && refused[e]
                                                     && !BROKEN(S2_CARRY)))
           fi;
           fresh[e] = true; at[e] = head; at_new[e] = tag(head);
           safe() }

    /* follow: a push, or the log, whichever */
    :: d_step { (linked[e] && fresh[e] && at[e] < head
                 && tag(at[e]) == at_new[e]) ->
           at[e]++;
           at_new[e] = tag(at[e]);
           refused[e] = (refused[e] || at[e] == changed) }

    /* a push that was under way when its server was lost */
    :: d_step { (fresh[e] && failed && !at_new[e] && at[e] < lost_head
                 && (!linked[e] || BROKEN(L5_SERVER))) ->
           at[e]++;
           refused[e] = (refused[e] || at[e] == lost_changed) }

    /* L1, L2: the time is taken, then the renewal is sent */
    :: d_step { (linked[e] && fresh[e] && renewal[e] == IDLE
                 && (e == 1 || hold == 0 || BROKEN(L7_HOLD))) ->
           renewal[e] = SENT;
           sent_age[e] = 0;
           if
           :: BROKEN(L2_APPLIED) -> sent[e] = head; sent_new[e] = tag(head)
           :: else -> sent[e] = at[e]; sent_new[e] = at_new[e]
           fi }

    /* L3: the store answers, and takes it down if its verdict is ok */
    :: d_step { (renewal[e] == SENT && linked[e]) ->
           if
           :: (named(e)) -> forget_renewal(e)
           :: (!named(e) && part(sent[e], sent_new[e])) ->
              if
              :: (wait != PROVEN || ages) ->
                 rec[name(e)] = sent[e];
                 rec_new[name(e)] = sent_new[e]
              :: else
              fi;
              if
              :: ages -> rec_by[name(e)] = e; rec_age[name(e)] = 0
              :: else
              fi;
              sent[e] = 0; sent_new[e] = 0;
              renewal[e] = GRANTED;
              granted[e] = head;
              REACH(HELD, page_lost && e == 0 && rec[0] == changed)
           :: (!named(e) && !part(sent[e], sent_new[e])
               && BROKEN(L3_VERDICT)) ->
              sent[e] = 0; sent_new[e] = 0;
              renewal[e] = GRANTED;
              granted[e] = 0
           :: else -> unsound(e)
           fi }

    /* an old primary that does not know that it is none */
    :: d_step { (BROKEN(TWO_PRIMARIES) && failed && !linked[e] && fresh[e]
                 && !at_new[e] && renewal[e] == IDLE) ->
           renewal[e] = GRANTED;
           granted[e] = lost_head }

    /* L4: published once the table is as far as the store was */
    :: d_step { (renewal[e] == GRANTED && fresh[e]
                 && (at[e] >= granted[e] || BROKEN(L4_HEAD))) ->
           lease[e] = (BROKEN(L1_SENT) -> OVER : OVER - sent_age[e]);
           forget_renewal(e);
           REACH(LOST, wait == PROVEN && lost_later);
           REACH(BACK, wait == PROVEN && failed && replica && !acked[e]);
           REACH(G2_LIVE, since == OVER && lease[e] > 0 && refused[e]);
           safe() }

    /* a question or an answer is lost, or was an error */
    :: d_step { (renewal[e] != IDLE) -> forget_renewal(e) }

    /* kill -9: the table stays */
    :: d_step { (fresh[e]) -> unsound(e) }

    /* the table's directory is emptied under the daemon; what was seen revoked
       is in the state directory too */
    :: d_step { (pages && e == 0 && !page_lost && lease[0] > 0) ->
           page_lost = true;
           ghost = lease[0];
           ghost_refused = refused[0];
           lease[0] = 0;
           refused[0] = (revoke && refused[0]);
           hold = OVER - rec_age[0];
           unsound(0) }

    od
}


/* What the replica has of an edge's renewals may be older. */
inline lose_renewal(n)
{
    if
    :: rec[n] = (rec[n] < fork -> rec[n] : fork)
    :: (rec[n] > 1) -> rec[n] = 1
    :: (BROKEN(LOST_EDGE) && n == 1) -> rec[n] = 0
    :: (ages) -> rec[n] = 1; rec_age[n] = OVER
    fi
}

proctype store()
{
    do

    /* the replica takes over as it was at some moment before: with what it has
       of the history, and of the renewals */
    :: atomic { (failovers && !failed) ->
           failed = true;
           lost_head = head; lost_changed = changed;
           if
           :: fork = head
           :: (head > 1 && !(replica && changed == head
                             && !BROKEN(A4_REPLICA)
                             && !BROKEN(A4_CONNECTION))) -> fork = head - 1
           :: (head > 2 && !(replica && changed >= head - 1
                             && !BROKEN(A4_REPLICA)
                             && !BROKEN(A4_CONNECTION))) -> fork = head - 2
           fi;
           head = fork;
           if
           :: (changed > fork) ->
              changed = 0; lost_later = (wait == PROVEN)
           :: else
           fi;
           lose_renewal(0); lose_renewal(1);
           linked[0] = false; linked[1] = false;
           if
           :: (renewal[0] == SENT) -> forget_renewal(0)
           :: else
           fi;
           if
           :: (renewal[1] == SENT) -> forget_renewal(1)
           :: else
           fi }

    /* somebody changes something else */
    :: d_step { (head < V_MAX) -> head++ }

    od
}


#define registered(n) (rec[n] != 0)

#define acknowledged(n)                                      \
    (rec[n] >= mine                                          \
     && (part(rec[n], rec_new[n]) || BROKEN(A2_EDGE)))

#define long_enough                                          \
    (waited >= (BROKEN(A3_DRIFT) -> L : OVER) || BROKEN(A3_SILENT))

#define edge_safe(n) (!registered(n) || acknowledged(n) || long_enough)

#define still_there                                          \
    (part(mine, mine_new) || (BROKEN(A2_CHAIN) && mine <= head)      \
     || (BROKEN(A3_ASKED) && long_enough))

proctype admin()
{
    do

    :: atomic { (wait == BEFORE && head < V_MAX) ->
           wait = ACCEPTED; head++; changed = head;
           mine = head; mine_new = failed;
           if
           :: revoke = true
           :: revoke = false
           fi }

    /* A1: the answer; then the clock.  If it was lost with the history, the
       change is sent again. */
    :: d_step { (wait == ACCEPTED && part(mine, mine_new)
                 && rule != G2 && rule != G2_LIVE) ->
           wait = WAITING }

    :: d_step { (wait == ACCEPTED && !part(mine, mine_new) && head < V_MAX) ->
           head++; changed = head; mine = head; mine_new = failed;
           since = 0 }

    /* A2, A3: asks the store, and goes by its answer.  A4: with a replica, if
       WAIT said so before; it can't any more after a failover, but then it may
       have, if the change is still there. */
    :: atomic { (wait == WAITING && still_there
                 && edge_safe(0) && (twins || edge_safe(1))) ->
           wait = PROVEN;
           acked[0] = (registered(0) && acknowledged(0));
           acked[1] = (registered(1) && acknowledged(1));
           if
           :: (!failed || !mine_new) -> replica = true
           :: replica = false
           fi;
           REACH(ACKED, acked[0] && acked[1]);
           REACH(SILENT, acked[0] && !acked[1] && !refused[1]);
           REACH(FORGOTTEN, forgot);
           REACH(TAKEN, rec_by[0] == 1);
           waited = 0; mine = 0; mine_new = false;
           safe() }

    :: d_step { (wait == WAITING && !part(mine, mine_new)) ->
           REACH(OUTCOME, true) }

    /* A5: an edge that is no more */
    :: d_step { (forgets && registered(1)
                 && (rec_age[1] >= OVER || BROKEN(A5_LIVE))) ->
           rec[1] = 0; rec_new[1] = 0; forgot = true }

    od
}


#define tick_up(x)   x = (x < OVER -> x + 1 : OVER)
#define tick_down(x) x = (x > 0 -> x - 1 : 0)

proctype clock()
{
    do
    :: d_step {
           tick_down(lease[0]); tick_down(lease[1]);
           tick_down(ghost); tick_down(hold);
           if
           :: (renewal[0] != IDLE) -> tick_up(sent_age[0])
           :: else
           fi;
           if
           :: (renewal[1] != IDLE) -> tick_up(sent_age[1])
           :: else
           fi;
           if
           :: (wait == WAITING || BROKEN(A1_START)) -> tick_up(waited)
           :: else
           fi;
           if
           :: (wait != BEFORE && (rule == G2 || rule == G2_LIVE)) -> tick_up(since)
           :: else
           fi;
           if
           :: ages ->
              tick_up(rec_age[0]); tick_up(rec_age[1])
           :: else
           fi;
           safe() }
    od
}


init
{
    atomic {
        take_rule();
        rec[0] = 1;
        if
        :: unknown_edge || twins
        :: else -> rec[1] = 1
        fi;
        rec_age[0] = OVER; rec_age[1] = OVER;
        run edge(0); run edge(1); run store(); run admin(); run clock()
    }
}
