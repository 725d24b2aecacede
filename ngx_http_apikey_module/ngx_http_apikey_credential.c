
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The credential in a request: which headers hold it (RFC 6750, 2.1 and RFC
 * 9110, 11.4, or a header of its own), and how they are taken out again.
 */


#include "ngx_http_apikey_module.h"


/* a walk over the headers that hold credentials */

typedef struct {
    ngx_list_t                *list;
    ngx_array_t               *sources;
    ngx_list_part_t           *previous;  /* the part before, or NULL */
    ngx_list_part_t           *part;
    ngx_uint_t                 i;         /* the next header in part */
    ngx_http_apikey_source_t  *source;    /* of the header last returned */
} ngx_http_apikey_walk_t;


static void ngx_http_apikey_walk(ngx_http_apikey_walk_t *walk,
    ngx_http_request_t *r, ngx_array_t *sources);
static ngx_table_elt_t *ngx_http_apikey_walk_next(
    ngx_http_apikey_walk_t *walk);
static ngx_int_t ngx_http_apikey_walk_remove(ngx_http_apikey_walk_t *walk,
    ngx_pool_t *pool);
static ngx_uint_t ngx_http_apikey_is_bearer(ngx_str_t *value);
static void ngx_http_apikey_text(ngx_http_apikey_source_t *source,
    ngx_str_t *value, ngx_str_t *text);
static void ngx_http_apikey_mask_text(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_http_apikey_source_t *source, ngx_str_t *value);
static ngx_uint_t ngx_http_apikey_owned(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_str_t *text);
static ngx_uint_t ngx_http_apikey_in_chain(ngx_chain_t *cl, u_char *p);


#define NGX_HTTP_APIKEY_BEARER_LEN  (sizeof("Bearer") - 1)


void
ngx_http_apikey_credential(ngx_http_request_t *r, ngx_array_t *sources,
    ngx_http_apikey_credential_t *credential)
{
    ngx_str_t                  text;
    ngx_uint_t                 seen, bit;
    ngx_table_elt_t           *h;
    apikey_text_error_t        error;
    ngx_http_apikey_walk_t     walk;
    ngx_http_apikey_source_t  *first;

    ngx_memzero(credential, sizeof(ngx_http_apikey_credential_t));

    first = sources->elts;
    seen = 0;

    ngx_http_apikey_walk(&walk, r, sources);

    while ((h = ngx_http_apikey_walk_next(&walk)) != NULL) {

        credential->present = 1;

        bit = (ngx_uint_t) 1 << (walk.source - first);

        if (seen & bit) {
            credential->fault = "its header is repeated";
            return;
        }

        seen |= bit;

        ngx_http_apikey_text(walk.source, &h->value, &text);

        if (walk.source->bearer
            && text.data == h->value.data + NGX_HTTP_APIKEY_BEARER_LEN)
        {
            credential->fault = "no blank follows \"Bearer\"";
            return;
        }

        error = apikey_text_syntax(text.data, text.len);

        if (error != APIKEY_TEXT_OK) {
            credential->fault = apikey_text_strerror(error);
            return;
        }

        if (credential->text.len == 0) {
            credential->text = text;
            continue;
        }

        if (credential->text.len != text.len
            || ngx_memcmp(credential->text.data, text.data, text.len) != 0)
        {
            credential->fault = "there are two, and they differ";
            return;
        }
    }
}


ngx_int_t
ngx_http_apikey_hide(ngx_http_request_t *r, ngx_array_t *sources)
{
    ngx_table_elt_t         *h;
    ngx_http_apikey_walk_t   walk;

    r = r->main;

    ngx_http_apikey_walk(&walk, r, sources);

    while ((h = ngx_http_apikey_walk_next(&walk)) != NULL) {

        ngx_http_apikey_mask_text(r, r->pool, walk.source, &h->value);

        if (r->headers_in.authorization == h) {
            r->headers_in.authorization = NULL;
        }

        if (ngx_http_apikey_walk_remove(&walk, r->pool) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_apikey_mask(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_array_t *sources)
{
    ngx_table_elt_t         *h;
    ngx_http_apikey_walk_t   walk;

    ngx_http_apikey_walk(&walk, r, sources);

    while ((h = ngx_http_apikey_walk_next(&walk)) != NULL) {
        ngx_http_apikey_mask_text(r, pool, walk.source, &h->value);
    }
}


static void
ngx_http_apikey_walk(ngx_http_apikey_walk_t *walk, ngx_http_request_t *r,
    ngx_array_t *sources)
{
    walk->list = &r->headers_in.headers;
    walk->sources = sources;
    walk->previous = NULL;
    walk->part = &walk->list->part;
    walk->i = 0;
    walk->source = NULL;
}


static ngx_table_elt_t *
ngx_http_apikey_walk_next(ngx_http_apikey_walk_t *walk)
{
    ngx_uint_t                 i;
    ngx_table_elt_t           *h;
    ngx_http_apikey_source_t  *source;

    for ( ;; ) {

        if (walk->i >= walk->part->nelts) {

            if (walk->part->next == NULL) {
                return NULL;
            }

            walk->previous = walk->part;
            walk->part = walk->part->next;
            walk->i = 0;

            continue;
        }

        h = walk->part->elts;
        h += walk->i++;

        source = walk->sources->elts;

        for (i = 0; i < walk->sources->nelts; i++) {

            if (h->hash != source[i].hash
                || h->key.len != source[i].lowcase.len
                || ngx_memcmp(h->lowcase_key, source[i].lowcase.data,
                              h->key.len)
                   != 0)
            {
                continue;
            }

            if (source[i].bearer && !ngx_http_apikey_is_bearer(&h->value)) {
                continue;
            }

            walk->source = &source[i];

            return h;
        }
    }
}


/*
 * Takes the header that was last returned out of the list.  Nothing in nginx
 * does this, and upstream modules pass on whatever is in the list, hash or no
 * hash.  The other headers stay where they are, because headers_in points to
 * many of them: the list's part is cut in two instead.
 */

static ngx_int_t
ngx_http_apikey_walk_remove(ngx_http_apikey_walk_t *walk, ngx_pool_t *pool)
{
    ngx_uint_t        n;
    ngx_list_t       *list;
    ngx_list_part_t  *part, *rest;
    ngx_table_elt_t  *header;

    list = walk->list;
    part = walk->part;
    header = part->elts;
    n = walk->i - 1;

    if (n == part->nelts - 1) {
        part->nelts--;

    } else if (n == 0) {
        part->elts = &header[1];
        part->nelts--;
        walk->i = 0;

    } else {
        rest = ngx_palloc(pool, sizeof(ngx_list_part_t));
        if (rest == NULL) {
            return NGX_ERROR;
        }

        rest->elts = &header[n + 1];
        rest->nelts = part->nelts - n - 1;
        rest->next = part->next;

        part->nelts = n;
        part->next = rest;

        if (list->last == part) {
            list->last = rest;
        }

        walk->previous = part;
        walk->part = rest;
        walk->i = 0;
    }

    /* everybody who walks this list expects no empty part but the first */

    part = walk->part;

    if (part->nelts == 0 && walk->previous) {
        walk->previous->next = part->next;

        if (list->last == part) {
            list->last = walk->previous;
        }

        walk->part = walk->previous;
        walk->i = walk->part->nelts;
    }

    /*
     * nalloc is the room in every part, but the last one may have less now:
     * call it full
     */

    list->nalloc = ngx_max(list->last->nelts, 1);

    return NGX_OK;
}


/*
 * Another scheme is no credential of ours.  A scheme is a token, so it ends
 * at the first byte that none may contain; if that is no blank, the header
 * is still a bearer credential, and a malformed one.
 */

static ngx_uint_t
ngx_http_apikey_is_bearer(ngx_str_t *value)
{
    u_char  ch;

    if (value->len < NGX_HTTP_APIKEY_BEARER_LEN
        || ngx_strncasecmp(value->data, (u_char *) "Bearer",
                           NGX_HTTP_APIKEY_BEARER_LEN)
           != 0)
    {
        return 0;
    }

    if (value->len == NGX_HTTP_APIKEY_BEARER_LEN) {
        return 1;
    }

    ch = value->data[NGX_HTTP_APIKEY_BEARER_LEN];

    if ((ch >= '0' && ch <= '9')
        || (ch >= 'a' && ch <= 'z')
        || (ch >= 'A' && ch <= 'Z'))
    {
        return 0;
    }

    return ch == '\0' || ngx_strchr("!#$%&'*+-.^_`|~", ch) == NULL;
}


/* what follows "Bearer" and any blanks, or all of it; good or bad */

static void
ngx_http_apikey_text(ngx_http_apikey_source_t *source, ngx_str_t *value,
    ngx_str_t *text)
{
    *text = *value;

    if (!source->bearer) {
        return;
    }

    text->data += NGX_HTTP_APIKEY_BEARER_LEN;
    text->len -= NGX_HTTP_APIKEY_BEARER_LEN;

    while (text->len && *text->data == ' ') {
        text->data++;
        text->len--;
    }
}


static void
ngx_http_apikey_mask_text(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_http_apikey_source_t *source, ngx_str_t *value)
{
    ngx_str_t  text;

    ngx_http_apikey_text(source, value, &text);

    if (ngx_http_apikey_owned(r, pool, &text)) {

        /* not zeros: somebody may hold a copy, and send or log it */

        ngx_memset(text.data, '*', text.len);
    }
}


/*
 * A header may have been set by another module, to a value that belongs to
 * the configuration: only what this request alone has may be written to.
 */

static ngx_uint_t
ngx_http_apikey_owned(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *text)
{
    ngx_buf_t              *b;
    ngx_http_connection_t  *hc;

    for ( /* void */ ; pool; pool = pool->d.next) {
        if (text->data >= (u_char *) pool && text->data < pool->d.last) {
            return 1;
        }
    }

#if (NGX_HTTP_V2)
    if (r->stream) {
        return 0;
    }
#endif

    /* the first buffer of a connection, or large ones that follow it */

    b = r->connection->buffer;

    if (b && text->data >= b->start && text->data < b->end) {
        return 1;
    }

    hc = r->http_connection;

    return ngx_http_apikey_in_chain(hc->busy, text->data)
           || ngx_http_apikey_in_chain(hc->free, text->data);
}


static ngx_uint_t
ngx_http_apikey_in_chain(ngx_chain_t *cl, u_char *p)
{
    for ( /* void */ ; cl; cl = cl->next) {
        if (p >= cl->buf->start && p < cl->buf->end) {
            return 1;
        }
    }

    return 0;
}
