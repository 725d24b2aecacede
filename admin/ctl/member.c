/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl member: those for whom keys are created.
 */

#include "admin/ops_member.h"
#include "fail.h"
#include "listing.h"
#include "options.h"
#include "output.h"
#include "receipt.h"


static int     member_put(ctl_t *ctl, int argc, char **argv);
static int     member_list(ctl_t *ctl, int argc, char **argv);
static int     member_page(ctl_listing_t *listing, unsigned count,
                           char cursor[static APIKEY_CURSOR_MAX + 1]);
static void    member_each(void *ctx, const apikey_ops_member_t *member);
static int     member_show(ctl_t *ctl, int argc, char **argv);
static json_t *member_json(const apikey_ops_member_t *member);
static int     member_one(ctl_t *ctl, int operands);


static const ctl_verb_t verbs[] = {
    { "member add", "ID --name=TEXT --tenant=ID [--email=ADDRESS]",
      "Create a member, or change what is named of one", CTL_CHANGES,
      "01234568", member_put },
    { "member put", "ID [--name=TEXT] [--tenant=ID] [--email=ADDRESS]",
      "The same", CTL_CHANGES, "01234568", member_put },
    { "member list", "[OPTION]...", "List members, by their ids", CTL_LOOKS,
      "012356", member_list },
    { "member show", "ID", "Show a member", CTL_LOOKS, "012356", member_show },
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
    int                     operands, created;
    apikey_ops_change_t     change;
    apikey_ops_member_put_t request = { 0 };

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

    if (apikey_ops_member_put(&ctl->ops, argv[0], &request, &created, &change)
        == -1)
    {
        return ctl_fail_ops(ctl, argv[0], "look: apikeyctl member show ID");
    }

    return ctl_receipt_one(ctl, argv[0],
                           created          ? "created"
                           : change.changed ? "changed"
                                            : "as it was",
                           &change,
                           json_pack("{s:s,s:b,s:b,s:I}", "id", argv[0],
                                     "changed", change.changed, "created",
                                     created, "version",
                                     (json_int_t) change.version));
}


static int
member_one(ctl_t *ctl, int operands)
{
    return operands == 1 ? 0 : ctl_usage(ctl, "name one member by its id");
}


static int
member_list(ctl_t *ctl, int argc, char **argv)
{
    int         operands;
    const char *tenant = NULL, *limit_text = NULL;

    static const char *const heads[] = { "ID", "NAME", "EMAIL", "TENANT" };

    ctl_listing_t listing = {
        .items = "members", .columns = 4, .heads = heads, .page = member_page
    };

    const ctl_option_t options[] = {
        { "tenant", "ID", "of this tenant", &tenant, NULL, NULL },
        { "limit", "COUNT", "at most so many; default: all", &limit_text, NULL,
          NULL },
    };

    operands = ctl_options(ctl, argc, argv, options, 2);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_count(ctl, "limit", limit_text, &listing.limit) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    listing.filter = tenant;

    return ctl_listing(ctl, &listing);
}


static int
member_page(ctl_listing_t *listing, unsigned count,
            char cursor[static APIKEY_CURSOR_MAX + 1])
{
    return apikey_ops_members(&listing->ctl->ops, listing->filter, count,
                              cursor, member_each, listing);
}


static void
member_each(void *ctx, const apikey_ops_member_t *member)
{
    ctl_listing_t *listing = ctx;

    switch (ctl_listing_item(listing)) {
    case CTL_ITEM_JSON:
        ctl_array_item(&listing->array, member_json(member));
        return;
    case CTL_ITEM_ID:
        ctl_put(stdout, member->id);
        putchar('\n');
        return;
    case CTL_ITEM_ROW:
        break;
    }

    ctl_table_cell(&listing->table, NULL, member->id);
    ctl_table_cell(&listing->table, NULL, member->name);
    ctl_table_cell(&listing->table, NULL, member->email);
    ctl_table_cell(&listing->table, NULL, member->tenant);
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
