/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * How a model is told which of its rules is broken: the checker that spin makes
 * of it takes the rule's number from the environment, so one build does for
 * the model as it is (0) and for every way to break it.
 */

short rule;

c_decl { \#include <stdlib.h> }

inline take_rule()
{
    c_code {
        const char *text = getenv("RULE");
        now.rule = text ? (short) atoi(text) : 0;
    }
}

#define BROKEN(number) (rule == number)

/* Fails if this ever happens: where it is expected to. */
#define REACH(number, what) assert(rule != number || !(what))
