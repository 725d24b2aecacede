/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Reads options and the configuration file into texts by one table, which is
 * also the help; then makes a configuration of the texts.
 */

#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "store/password.h"

#define CONF_LINE_MAX 2048
#define CONF_TABLE    "/run/apikey"

/* Each measurement is two changes in the store's log. */
#define CONF_CANARY_MIN 1000 /* milliseconds */
#define CONF_CANARY_MAX (24 * 3600 * 1000)

typedef enum {
    CONF_STORE = 0,
    CONF_STORE_NAME,
    CONF_USER,
    CONF_PASSWORD_FILE,
    CONF_TABLE_DIR,
    CONF_STATE,
    CONF_EDGE,
    CONF_CANARY,
    CONF_CANARY_INTERVAL,
    CONF_CANARY_USER,
    CONF_CANARY_PASSWORD_FILE,
    CONF_LOG_LEVEL,
    CONF_FILE,
    CONF_OPTIONS
} conf_option_t;

static const struct {
    const char *name;
    const char *value;
    const char *help;
} conf_options[CONF_OPTIONS] = {
    [CONF_STORE] = { "store", "URL",
                     "where the store is: redis://[USER[:PASSWORD]@]HOST"
                     "[:PORT][/DB] or\n"
                     "unix://[USER[:PASSWORD]@]/PATH[?db=N]; required" },
    [CONF_STORE_NAME] = { "store-name", "NAME",
                          "the store's name; default " APIKEY_STORE_NAME_DEFAULT },
    [CONF_USER] = { "user", "NAME", "the store's user, if not in the URL" },
    [CONF_PASSWORD_FILE] = { "password-file", "FILE",
                             "holds the user's password, if not in the URL" },
    [CONF_TABLE_DIR] = { "table", "DIR",
                         "the table's directory; default " CONF_TABLE },
    [CONF_STATE] = { "state", "DIR",
                     "where revocations are kept, so that a reboot does not "
                     "forget\nthem; it must outlive one, as /var/lib/apikey "
                     "does; default none" },
    [CONF_EDGE] = { "edge", "NAME",
                    "this edge's name, unique among all that use the store;\n"
                    "default: the host's name" },
    [CONF_CANARY] = { "canary", "KEY_ID",
                      "disable and enable this key again and again, and "
                      "measure how long\nit takes until nginx refuses it; one "
                      "key an edge; default none" },
    [CONF_CANARY_INTERVAL] = { "canary-interval", "TIME",
                               "between two measurements; default 10s" },
    [CONF_CANARY_USER] = { "canary-user", "NAME",
                           "the store's user for that; default as for the "
                           "rest" },
    [CONF_CANARY_PASSWORD_FILE] = { "canary-password-file", "FILE",
                                    "holds that user's password" },
    [CONF_LOG_LEVEL] = { "log-level", "LEVEL",
                         "error, warning, notice, info or debug; default "
                         "info" },
    [CONF_FILE] = { "config", "FILE",
                    "read options from FILE too, one `name = value` a line" },
};

/* The texts, in the order of conf_options; NULL where nobody gave one. */
typedef struct {
    char *option[CONF_OPTIONS];
    int   in_command[CONF_OPTIONS];
} conf_texts_t;


static int
conf_error(char error[static APIKEY_CONF_ERROR_LEN], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
conf_error(char error[static APIKEY_CONF_ERROR_LEN], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, APIKEY_CONF_ERROR_LEN, format, args);
    va_end(args);

    return -1;
}


void
apikey_conf_help(void)
{
    size_t      i, column;
    const char *c;

    printf("Usage: apikey-sync --store URL [OPTION ...]\n\n"
           "Keeps the table of API keys that nginx reads the same as the "
           "store.\n\n");

    for (i = 0; i < CONF_OPTIONS; i++) {
        column = (size_t) printf("  --%s %s", conf_options[i].name,
                                 conf_options[i].value);
        printf("%*s", (int) (column < 24 ? 24 - column : 1), "");

        for (c = conf_options[i].help; *c; c++) {
            putchar(*c);

            if (*c == '\n') {
                printf("%24s", "");
            }
        }

        putchar('\n');
    }

    printf("  -t, --check           check the configuration and exit\n"
           "  -h, --help            print this and exit\n"
           "  -V, --version         print the version and exit\n\n"
           "Signals: TERM and INT stop it; HUP reads the configuration "
           "again.\n"
           "Exit status: 0 stopped or checked; 1 the table can't be used, or "
           "the system\nfailed; 2 a mistake in the configuration.\n");
}


static void
texts_free(conf_texts_t *texts)
{
    size_t i;

    for (i = 0; i < CONF_OPTIONS; i++) {
        if (texts->option[i] != NULL) {
            explicit_bzero(texts->option[i], strlen(texts->option[i]));
            free(texts->option[i]);
        }
    }
}


/* The option with this name, or CONF_OPTIONS. */
static conf_option_t
find_option(const char *name, size_t len)
{
    size_t i;

    for (i = 0; i < CONF_OPTIONS; i++) {
        if (strlen(conf_options[i].name) == len
            && memcmp(conf_options[i].name, name, len) == 0)
        {
            break;
        }
    }

    return (conf_option_t) i;
}


static int
set_text(conf_texts_t *texts, conf_option_t option, const char *value,
         char error[static APIKEY_CONF_ERROR_LEN])
{
    texts->option[option] = strdup(value);

    /* texts_free() frees it: NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return texts->option[option] ? 0 : conf_error(error, "no memory");
}


/* -t and its like, which have no value; 0 if it was one. */
static int
command_action(apikey_conf_t *conf, const char *argument)
{
    static const struct {
        const char          *brief, *name;
        apikey_conf_action_t action;
    } actions[] = {
        { "-t", "--check", APIKEY_CONF_CHECK },
        { "-h", "--help", APIKEY_CONF_HELP },
        { "-V", "--version", APIKEY_CONF_VERSION },
    };
    size_t i;

    for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(argument, actions[i].brief) == 0
            || strcmp(argument, actions[i].name) == 0)
        {
            conf->action = actions[i].action;
            return 0;
        }
    }

    return -1;
}


static int
read_command(apikey_conf_t *conf, conf_texts_t *texts, int argc,
             char *const argv[], char error[static APIKEY_CONF_ERROR_LEN])
{
    int           i;
    size_t        len;
    const char   *name, *value;
    conf_option_t option;

    for (i = 1; i < argc; i++) {
        if (command_action(conf, argv[i]) == 0) {
            continue;
        }

        if (strncmp(argv[i], "--", 2) != 0) {
            return conf_error(error,
                              "'%.64s' is no option: see apikey-sync --help",
                              argv[i]);
        }

        name = argv[i] + 2;
        value = strchr(name, '=');
        len = value ? (size_t) (value - name) : strlen(name);
        option = find_option(name, len);

        if (option == CONF_OPTIONS) {
            return conf_error(error,
                              "unknown option --%.*s: see apikey-sync --help",
                              len < 64 ? (int) len : 64, name);
        }

        if (value != NULL) {
            value++;

        } else if (i + 1 < argc) {
            value = argv[++i];

        } else {
            return conf_error(error, "the option --%s needs a value (%s)",
                              conf_options[option].name,
                              conf_options[option].value);
        }

        if (texts->option[option] != NULL) {
            return conf_error(error, "the option --%s is there twice",
                              conf_options[option].name);
        }

        if (set_text(texts, option, value, error) != 0) {
            return -1;
        }

        texts->in_command[option] = 1;
    }

    return 0;
}


/* Cuts blanks off both ends. */
static char *
trim(char *text)
{
    size_t len;

    while (isspace((unsigned char) *text)) {
        text++;
    }

    len = strlen(text);

    while (len > 0 && isspace((unsigned char) text[len - 1])) {
        len--;
    }

    text[len] = '\0';

    return text;
}


static int
read_line(conf_texts_t *texts, unsigned given[static CONF_OPTIONS], char *line,
          const char *path, unsigned number,
          char error[static APIKEY_CONF_ERROR_LEN])
{
    char         *name, *value;
    conf_option_t option;

    name = trim(line);

    if (*name == '\0' || *name == '#') {
        return 0;
    }

    value = strchr(name, '=');

    if (value == NULL) {
        return conf_error(error, "%s:%u: this is no `name = value` line", path,
                          number);
    }

    *value = '\0';
    name = trim(name);
    value = trim(value + 1);
    option = find_option(name, strlen(name));

    if (option == CONF_OPTIONS || option == CONF_FILE) {
        return conf_error(error,
                          "%s:%u: unknown name '%.64s': see apikey-sync "
                          "--help",
                          path, number, name);
    }

    if (given[option]) {
        return conf_error(error, "%s:%u: '%s' was given in line %u already",
                          path, number, name, given[option]);
    }

    given[option] = number;

    if (texts->in_command[option]) {
        return 0;
    }

    return set_text(texts, option, value, error);
}


static int
read_file(conf_texts_t *texts, const char *path,
          char error[static APIKEY_CONF_ERROR_LEN])
{
    int      rc = -1;
    char     line[CONF_LINE_MAX];
    FILE    *file;
    size_t   len;
    unsigned number;
    unsigned given[CONF_OPTIONS] = { 0 };

    file = fopen(path, "re");

    if (file == NULL) {
        conf_error(error, "cannot read the configuration file %s: %s", path,
                   strerror(errno));
        goto cleanup;
    }

    for (number = 1; fgets(line, sizeof(line), file) != NULL; number++) {
        len = strlen(line);

        if (len == 0 || (line[len - 1] != '\n' && !feof(file))) {
            conf_error(error,
                       "%s:%u: the line is too long, or holds a zero "
                       "byte",
                       path, number);
            goto cleanup;
        }

        if (read_line(texts, given, line, path, number, error) != 0) {
            goto cleanup;
        }
    }

    if (ferror(file)) {
        conf_error(error, "cannot read the configuration file %s: %s", path,
                   strerror(errno));
        goto cleanup;
    }

    rc = 0;

cleanup:

    explicit_bzero(line, sizeof(line));

    if (file != NULL) {
        fclose(file);
    }

    return rc;
}


static int
set_store(apikey_conf_t *conf, const conf_texts_t *texts,
          char error[static APIKEY_CONF_ERROR_LEN])
{
    char        reason[APIKEY_CONF_ERROR_LEN / 2];
    const char *url = texts->option[CONF_STORE];
    const char *user = texts->option[CONF_USER];
    const char *file = texts->option[CONF_PASSWORD_FILE];
    const char *name = texts->option[CONF_STORE_NAME];

    if (url == NULL) {
        return conf_error(error, "store is missing: say where the store is, "
                                 "as in --store redis://127.0.0.1:6379");
    }

    if (apikey_url_parse(&conf->url, url, reason, sizeof(reason)) != 0) {
        return conf_error(error, "store: %s", reason);
    }

    if (conf->url.tls) {
#if HIREDIS_MAJOR < 1
        return conf_error(error,
                          "store: rediss:// (TLS) needs hiredis 1.0 or later, "
                          "and this program was built with %d.%d: use "
                          "redis:// or unix://, or a TLS tunnel such as "
                          "stunnel",
                          HIREDIS_MAJOR, HIREDIS_MINOR);
#else
        return conf_error(error,
                          "store: rediss:// (TLS) is not built into this "
                          "program: use redis:// or unix://, or a TLS tunnel "
                          "such as stunnel");
#endif
    }

    conf->password_in_command =
        texts->in_command[CONF_STORE] && conf->url.password[0] != '\0';

    if (user != NULL) {
        if (conf->url.user[0] != '\0') {
            return conf_error(error, "user: the URL names a user too; say it "
                                     "once");
        }

        if (strlen(user) == 0 || strlen(user) >= sizeof(conf->url.user)) {
            return conf_error(error, "user must be 1 to %d bytes",
                              APIKEY_URL_PART_MAX - 1);
        }

        strcpy(conf->url.user, user);
    }

    if (file != NULL) {
        if (conf->url.password[0] != '\0') {
            return conf_error(error, "password-file: the URL holds a password "
                                     "too; take it out of the URL");
        }

        if (apikey_password_read(&conf->url, file, reason, sizeof(reason))
            != 0) {
            return conf_error(error, "password-file: %s", reason);
        }
    }

    if (conf->url.user[0] != '\0' && conf->url.password[0] == '\0') {
        return conf_error(error, "user without a password: give "
                                 "password-file");
    }

    name = name ? name : APIKEY_STORE_NAME_DEFAULT;

    if (!apikey_store_name_check(name)) {
        return conf_error(error, "store-name must be 1 to 64 of A-Z a-z 0-9 _ "
                                 ". - in braces, as in {apikey}");
    }

    strcpy(conf->store_name, name);

    return 0;
}


static int
set_edge(apikey_conf_t *conf, const char *text,
         char error[static APIKEY_CONF_ERROR_LEN])
{
    char        host[256] = "";
    size_t      i;
    const char *edge;

    if (text == NULL && gethostname(host, sizeof(host) - 1) != 0) {
        return conf_error(error,
                          "cannot find out the host's name (%s): give --edge",
                          strerror(errno));
    }

    edge = text ? text : host;

    for (i = 0; edge[i] != '\0'; i++) {
        if (!isalnum((unsigned char) edge[i])
            && strchr("_.:-", edge[i]) == NULL) {
            break;
        }
    }

    if (i == 0 || i > APIKEY_CONF_EDGE_MAX || edge[i] != '\0') {
        return conf_error(error, "%s must be 1 to %d of A-Z a-z 0-9 _ . : -%s",
                          text ? "edge" : "edge: the host's name",
                          APIKEY_CONF_EDGE_MAX, text ? "" : "; give --edge");
    }

    strcpy(conf->edge, edge);

    return 0;
}


/* "10s": a whole number and ms, s, m or h.  0, or -1. */
static int
parse_time(uint64_t *milliseconds, const char *text)
{
    static const struct {
        const char *unit;
        uint64_t    milliseconds;
    } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }
    };
    char              *end;
    size_t             i;
    unsigned long long number;

    if (!isdigit((unsigned char) text[0]) || strlen(text) > 10) {
        return -1;
    }

    number = strtoull(text, &end, 10);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *milliseconds = number * units[i].milliseconds;
            return 0;
        }
    }

    return -1;
}


/* After set_store(). */
static int
set_canary(apikey_conf_t *conf, const conf_texts_t *texts,
           char error[static APIKEY_CONF_ERROR_LEN])
{
    char        reason[APIKEY_CONF_ERROR_LEN / 2];
    size_t      i;
    const char *key = texts->option[CONF_CANARY];
    const char *interval = texts->option[CONF_CANARY_INTERVAL];
    const char *user = texts->option[CONF_CANARY_USER];
    const char *file = texts->option[CONF_CANARY_PASSWORD_FILE];

    if (key == NULL) {
        return interval == NULL && user == NULL && file == NULL
                   ? 0
                   : conf_error(error, "canary is missing: its interval and "
                                       "user alone are of no use");
    }

    for (i = strncmp(key, "key_", 4) == 0 ? 4 : 0;
         i > 0 && isalnum((unsigned char) key[i]); i++)
    { /* void */
    }

    if (i != sizeof(conf->canary) - 1 || key[i] != '\0') {
        return conf_error(error, "canary must be a key's id, key_ and 20 "
                                 "letters and digits: not the key itself");
    }

    strcpy(conf->canary, key);

    if (parse_time(&conf->canary_interval, interval ? interval : "10s") != 0
        || conf->canary_interval < CONF_CANARY_MIN
        || conf->canary_interval > CONF_CANARY_MAX)
    {
        return conf_error(error, "canary-interval must be 1s to 24h, as in "
                                 "10s");
    }

    conf->canary_url = conf->url;

    if (user == NULL && file == NULL) {
        return 0;
    }

    if (user == NULL || file == NULL) {
        return conf_error(error, "canary-user and canary-password-file need "
                                 "each other");
    }

    if (strlen(user) == 0 || strlen(user) >= sizeof(conf->canary_url.user)) {
        return conf_error(error, "canary-user must be 1 to %d bytes",
                          APIKEY_URL_PART_MAX - 1);
    }

    strcpy(conf->canary_url.user, user);

    if (apikey_password_read(&conf->canary_url, file, reason, sizeof(reason))
        != 0) {
        return conf_error(error, "canary-password-file: %s", reason);
    }

    return 0;
}


static int
set_rest(apikey_conf_t *conf, const conf_texts_t *texts,
         char error[static APIKEY_CONF_ERROR_LEN])
{
    const char *table = texts->option[CONF_TABLE_DIR];
    const char *state = texts->option[CONF_STATE];
    const char *level = texts->option[CONF_LOG_LEVEL];

    table = table ? table : CONF_TABLE;

    if (strlen(table) == 0 || strlen(table) > APIKEY_CONF_PATH_MAX) {
        return conf_error(error, "table must be a path of 1 to %d bytes",
                          APIKEY_CONF_PATH_MAX);
    }

    strcpy(conf->table, table);

    if (state != NULL
        && (strlen(state) == 0 || strlen(state) > APIKEY_CONF_PATH_MAX))
    {
        return conf_error(error, "state must be a path of 1 to %d bytes",
                          APIKEY_CONF_PATH_MAX);
    }

    strcpy(conf->state, state ? state : "");

    conf->log_level = APIKEY_LOG_INFO;

    if (level != NULL && apikey_log_level(level, &conf->log_level) != 0) {
        return conf_error(error, "log-level must be error, warning, notice, "
                                 "info or debug");
    }

    return set_edge(conf, texts->option[CONF_EDGE], error);
}


int
apikey_conf_load(apikey_conf_t *conf, int argc, char *const argv[],
                 char error[static APIKEY_CONF_ERROR_LEN])
{
    int          rc;
    conf_texts_t texts;

    memset(conf, 0, sizeof(*conf));
    memset(&texts, 0, sizeof(texts));

    rc = read_command(conf, &texts, argc, argv, error);

    if (rc != 0 || conf->action == APIKEY_CONF_HELP
        || conf->action == APIKEY_CONF_VERSION)
    {
        goto cleanup;
    }

    if (texts.option[CONF_FILE] != NULL
        && read_file(&texts, texts.option[CONF_FILE], error) != 0)
    {
        rc = -1;
        goto cleanup;
    }

    if (set_store(conf, &texts, error) != 0
        || set_canary(conf, &texts, error) != 0
        || set_rest(conf, &texts, error) != 0)
    {
        rc = -1;
    }

cleanup:

    texts_free(&texts);

    if (rc != 0) {
        apikey_conf_wipe(conf);
    }

    return rc;
}


void
apikey_conf_wipe(apikey_conf_t *conf)
{
    explicit_bzero(conf, sizeof(*conf));
}
