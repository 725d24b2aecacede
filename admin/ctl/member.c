/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl member: those for whom keys are created.
 */

#include "admin/ops_member.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "session.h"
#include "table.h"


#define LOOKS   (CTL_TAKES_STORE | CTL_TAKES_OUTPUT)
#define CHANGES (LOOKS | CTL_TAKES_ACTOR)

/* Where the members go. */
typedef struct {
    const ctl_t *ctl;
    uint64_t     listed; /* of this page */
    ctl_table_t  table;
    ctl_array_t  array;
} list_t;


static int member_put(ctl_t *ctl, int argc, char **argv);
static int member_list(ctl_t *ctl, int argc, char **argv);
static int
member_pages(ctl_t *ctl, const char *tenant, uint64_t limit, list_t *list);
static void    member_each(void *ctx, const apikey_ops_member_t *member);
static int     member_show(ctl_t *ctl, int argc, char **argv);
static json_t *member_json(const apikey_ops_member_t *member);
static int     member_one(ctl_t *ctl, int operands);


static const ctl_verb_t verbs[] = {
    { "member add", "ID --name=TEXT --tenant=ID [--email=ADDRESS]",
      "Create a member, or change what is named of one", CHANGES, "0123456",
      member_put },
    { "member put", "ID [--name=TEXT] [--tenant=ID] [--email=ADDRESS]",
      "The same", CHANGES, "0123456", member_put },
    { "member list", "[OPTION]...", "List members, by their ids", LOOKS,
      "012356", member_list },
    { "member show", "ID", "Show a member", LOOKS, "012356", member_show },
    { 0 },
};


int
ctl_member(ctl_t *ctl, int argc, char **argv)
{
    return ctl_dispatch(ctl, verbs, "member", argc, argv);
}


static int
member_put(ctl_t *ctl, int argc, char **argv)
{
    int                        operands;
    apikey_ops_member_put_t    request = { 0 };
    apikey_ops_member_change_t change;

    const ctl_option_t options[] = {
        { "name", "TEXT", "1 to 128 bytes", &request.name, NULL, NULL },
        { "tenant", "ID",
          "the tenant; stays as it is once the member has keys",
          &request.tenant, NULL, NULL },
        { "email", "ADDRESS", "up to 254 bytes", &request.email, NULL, NULL },
    };

    operands = ctl_options(ctl, argc, argv, options, 3);

    if (operands == -1 || member_one(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (apikey_ops_member_put(&ctl->ops, argv[0], &request, &change) == -1) {
        return ctl_fail_ops(ctl, argv[0], "look: apikeyctl member show ID");
    }

    if (ctl->json) {
        ctl_json(json_pack("{s:s,s:b,s:b,s:I}", "id", argv[0], "changed",
                           change.changed, "created", change.created,
                           "version", (json_int_t) change.version));

    } else if (!ctl->quiet) {
        printf("%s  %s  version %llu\n", argv[0],
               change.created   ? "created"
               : change.changed ? "changed"
                                : "as it was",
               (unsigned long long) change.version);
    }

    return CTL_DONE;
}


static int
member_one(ctl_t *ctl, int operands)
{
    return operands == 1 ? 0 : ctl_usage(ctl, "name one member by its id");
}


static int
member_list(ctl_t *ctl, int argc, char **argv)
{
    int         operands, code;
    list_t      list = { .ctl = ctl };
    uint64_t    limit;
    const char *tenant = NULL, *limit_text = NULL;

    static const char *const heads[] = { "ID", "NAME", "EMAIL", "TENANT" };

    const ctl_option_t options[] = {
        { "tenant", "ID", "of this tenant", &tenant, NULL, NULL },
        { "limit", "COUNT", "at most so many; default: all", &limit_text, NULL,
          NULL },
    };

    operands = ctl_options(ctl, argc, argv, options, 2);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_count(ctl, "limit", limit_text, &limit) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (ctl->json) {
        ctl_array_begin(&list.array);

    } else if (!ctl->quiet) {
        ctl_table_begin(&list.table, 4, heads);
    }

    code = member_pages(ctl, tenant, limit, &list);

    if (ctl->json) {
        /* left open, it is seen to be incomplete by whoever reads it */
        if (code == CTL_DONE) {
            ctl_array_end(&list.array);
        }

    } else if (!ctl->quiet
               && ctl_table_end(&list.table, code == CTL_DONE) == -1) {
        code = ctl_fail(ctl, CTL_LOCAL, "", NULL,
                        "out of memory: members are missing in this list");
    }

    return code;
}


static int
member_pages(ctl_t *ctl, const char *tenant, uint64_t limit, list_t *list)
{
    char     cursor[APIKEY_CURSOR_MAX + 1] = "";
    unsigned count;

    do {
        count = limit < APIKEY_PAGE_MAX ? (unsigned) limit : APIKEY_PAGE_MAX;
        list->listed = 0;

        if (apikey_ops_members(&ctl->ops, tenant, count, cursor, member_each,
                               list)
            == -1)
        {
            return ctl_fail_ops(ctl, NULL, NULL);
        }

        limit -= list->listed;

        if (!ctl->json && !ctl->quiet) {
            ctl_table_flush(&list->table);
        }

    } while (cursor[0] && limit && !ferror(stdout));

    return CTL_DONE;
}


static void
member_each(void *ctx, const apikey_ops_member_t *member)
{
    list_t *list = ctx;

    list->listed++;

    if (list->ctl->json) {
        ctl_array_item(&list->array, member_json(member));
        return;
    }

    if (list->ctl->quiet) {
        ctl_put(stdout, member->id);
        putchar('\n');
        return;
    }

    ctl_table_cell(&list->table, NULL, member->id);
    ctl_table_cell(&list->table, NULL, member->name);
    ctl_table_cell(&list->table, NULL, member->email);
    ctl_table_cell(&list->table, NULL, member->tenant);
}


static int
member_show(ctl_t *ctl, int argc, char **argv)
{
    int                 operands;
    json_t             *json;
    apikey_ops_member_t member;

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1 || member_one(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (apikey_ops_member_get(&ctl->ops, argv[0], &member) == -1) {
        return ctl_fail_ops(ctl, argv[0], NULL);
    }

    if (ctl->json) {
        json = member_json(&member);
        json_object_set_new(json, "keys",
                            json_integer((json_int_t) member.keys));
        ctl_json(json);

    } else if (!ctl->quiet) {
        ctl_field("Id", "%s", member.id);
        ctl_field("Name", "%s", member.name);
        ctl_field("E-mail", "%s", member.email[0] ? member.email : "none");
        ctl_field("Tenant", "%s", member.tenant);
        ctl_field("Keys", "%llu", (unsigned long long) member.keys);
        ctl_field_time("Created", member.created);
        ctl_field_time("Changed", member.updated);
    }

    return CTL_DONE;
}


static json_t *
member_json(const apikey_ops_member_t *member)
{
    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:o}", "id", ctl_json_text(member->id), "name",
        ctl_json_text(member->name), "email", ctl_json_text(member->email),
        "tenant", ctl_json_text(member->tenant), "created",
        ctl_json_time(member->created), "updated",
        ctl_json_time(member->updated));
}
