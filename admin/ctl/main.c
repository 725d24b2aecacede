/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl: the administrator's command line.  The table of verbs is the
 * help; each verb is a file of its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "ctl.h"
#include "fail.h"
#include "help.h"
#include "json.h"
#include "nearest.h"
#include "options.h"
#include "output.h"


static const ctl_verb_t verbs[] = {
    { "init", "[--prefix=TEXT] [--lease=TIME]",
      "Initialise a new store, and make the pepper file if there is none",
      CTL_LOOKS | CTL_TAKES_ACTOR | CTL_TAKES_PEPPER, "0123456", ctl_init },
    { "create", "--member=ID --name=TEXT [OPTION]...",
      "Create a key; its text is shown once", CTL_CHANGES | CTL_TAKES_PEPPER,
      "01234568", ctl_create },
    { "list", "[OPTION]...", "List keys, newest first", CTL_LOOKS, "012356",
      ctl_list },
    { "show", "KEY", "Show a key", CTL_LOOKS, "012356", ctl_show },
    { "disable", "KEY...", "Disable keys, until they are enabled again",
      CTL_CHANGES, "01234568", ctl_disable },
    { "enable", "KEY...", "Enable keys that are disabled", CTL_CHANGES,
      "01234568", ctl_enable },
    { "revoke", "KEY...", "Revoke keys, for ever", CTL_CHANGES, "01234568",
      ctl_revoke },
    { "member", "add|put|list|show", "Create, change, list and show members",
      CTL_CHANGES, "01234568", ctl_member },
    { "status", "",
      "Show whether the promise holds, and how store and edges are",
      CTL_LOOKS | CTL_TAKES_PEPPER, "0123567", ctl_status },
    { "edges", "[forget NAME]",
      "List the edges: live or silent, how far behind, how long yet",
      CTL_LOOKS, "0123567", ctl_edges },
    { "conflicts", "", "List keys that edges saw revoked and the store forgot",
      CTL_LOOKS, "0123567", ctl_conflicts },
    { "settle", "KEY --revoke|--accept", "End a conflict about a key",
      CTL_CHANGES, "01234568", ctl_settle },
    { "log", "[OPTION]...", "Show what was changed, by whom and why",
      CTL_LOOKS, "0123567", ctl_log },
    { "watch", "[--acks]", "Show changes as they happen, until Ctrl-C",
      CTL_LOOKS, "012356", ctl_watch },
    { "table", "[DIR]",
      "Look into the table on this machine, and at what its daemon counts",
      CTL_TAKES_OUTPUT, "02567", ctl_inspect },
    { "library", "[--check]",
      "Load the function library into the server, or compare it", CTL_LOOKS,
      "01234567", ctl_library },
    { 0 },
};


static void main_protect(void);
static int  main_run(ctl_t *ctl, int argc, char **argv);


int
main(int argc, char **argv)
{
    int   code;
    ctl_t ctl = { 0 };

    main_protect();
    ctl_output_begin();
    ctl_json_begin();

    if (sodium_init() == -1) {
        return ctl_fail(&ctl, CTL_LOCAL, "", NULL, "cannot begin: libsodium");
    }

    code = main_run(&ctl, argc - 1, argv + 1);

    apikey_ops_close(&ctl.ops);

    if (ctl_output_flush() == -1 && code != CTL_OUTPUT) {
        /* who closes a pipe knows it */
        if (errno != EPIPE) {
            ctl_fail(&ctl, CTL_OUTPUT, "", NULL,
                     "the output could not be written: %s", strerror(errno));
        }

        if (code < CTL_OUTPUT) {
            code = CTL_OUTPUT;
        }
    }

    return code;
}


/*
 * Key texts and peppers pass through this process: no core dump and no
 * debugger of the same user may see it.  A standard stream that is closed
 * must not be the number of the next socket, either.
 */
static void
main_protect(void)
{
    int           fd;
    struct rlimit none = { 0, 0 };

    for (fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            /* opened the wrong way round: using it is an error still */
            (void) open("/dev/null", fd ? O_RDONLY : O_WRONLY);
        }
    }

    (void) prctl(PR_SET_DUMPABLE, 0);
    (void) setrlimit(RLIMIT_CORE, &none);
    (void) signal(SIGPIPE, SIG_IGN);
}


static int
main_run(ctl_t *ctl, int argc, char **argv)
{
    int n;

    n = ctl_options_before(ctl, argc, argv, verbs);
    if (n == -1) {
        return ctl->exit;
    }

    if (n < argc && strcmp(argv[n], "help") == 0) {
        if (n + 1 == argc) {
            ctl_help(ctl, verbs, "");
            return CTL_DONE;
        }

        /* help VERB is VERB --help */
        argv[n] = argv[n + 1];
        argv[n + 1] = "--help";
    }

    return ctl_dispatch(ctl, verbs, "", argc - n, argv + n);
}


int
ctl_dispatch(ctl_t *ctl, const ctl_verb_t *table, const char *of, int argc,
             char **argv)
{
    size_t            skip = of[0] ? strlen(of) + 1 : 0;
    char              hint[64];
    unsigned          distance, best = 3;
    const char       *near = NULL;
    const ctl_verb_t *verb;

    snprintf(hint, sizeof(hint), "apikeyctl %s%s--help", of, of[0] ? " " : "");

    if (argc == 0) {
        return ctl_fail(ctl, CTL_USAGE, "", hint, "a command is missing");
    }

    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0) {
        ctl_help(ctl, table, of);
        return CTL_DONE;
    }

    for (verb = table; verb->name; verb++) {
        if (strcmp(verb->name + skip, argv[0]) == 0) {
            ctl->verb = verb;
            return verb->run(ctl, argc - 1, argv + 1);
        }

        distance = ctl_distance(argv[0], verb->name + skip);

        if (ctl_near(argv[0], verb->name + skip) && distance < best) {
            best = distance;
            near = verb->name + skip;
        }
    }

    return ctl_fail(
        ctl, CTL_USAGE, "", hint, "there is no command %.40s%s%s%s", argv[0],
        near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
