/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Whether a file is a table's.
 */

#include "valid.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>


const char *
apikey_table_strerror(apikey_table_error_t error)
{
    switch (error) {
    case APIKEY_TABLE_OK:
        return "no error";
    case APIKEY_TABLE_ABSENT:
        return "there is no table yet: is apikey-sync running, with this "
               "directory, and has it reached the store?";
    case APIKEY_TABLE_DENIED:
        return "permission denied: give the directory to the group of the "
               "nginx workers (mode 0750) and restart apikey-sync";
    case APIKEY_TABLE_FOREIGN:
        return "not a table of this layout: nginx module and apikey-sync must "
               "be of the same version";
    case APIKEY_TABLE_UNSAFE:
        return "others may write it or its directory, or it is not of the "
               "directory's owner: refused";
    case APIKEY_TABLE_DAMAGED:
        return "it is truncated or damaged: restart apikey-sync to rebuild it";
    case APIKEY_TABLE_OTHER_BOOT:
        return "it was left by an earlier boot: is apikey-sync running?";
    case APIKEY_TABLE_COPY:
        return "it is a copy of the file that apikey-sync writes to: refused";
    case APIKEY_TABLE_SYSTEM:
        return "a system error (memory, file descriptors) kept it from being "
               "read";
    case APIKEY_TABLE_CROWDED:
        return "too many slots, or generations in a row, to look through: "
               "restart apikey-sync to rebuild it";
    }

    return "unknown error";
}


apikey_table_error_t
apikey_table_errno(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
        return APIKEY_TABLE_ABSENT;
    case EACCES:
    case EPERM:
        return APIKEY_TABLE_DENIED;
    case ELOOP:
        return APIKEY_TABLE_FOREIGN;
    default:
        return APIKEY_TABLE_SYSTEM;
    }
}


static int
hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}


int
apikey_boot_id(uint8_t id[static APIKEY_BOOT_ID_LEN])
{
    int     fd;
    char    text[64];
    size_t  digits = 0;
    ssize_t n, i;

    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    n = read(fd, text, sizeof(text));
    close(fd);

    memset(id, 0, APIKEY_BOOT_ID_LEN);

    for (i = 0; i < n && digits < 2 * APIKEY_BOOT_ID_LEN; i++) {
        int v = hex(text[i]);

        if (v >= 0) {
            id[digits / 2] |= (uint8_t) (digits % 2 ? v : v << 4);
            digits++;
        }
    }

    if (digits != 2 * APIKEY_BOOT_ID_LEN) {
        errno = EIO;
        return -1;
    }

    return 0;
}


apikey_table_error_t
apikey_valid_rights(const struct stat *st, uid_t owner)
{
    return (st->st_uid == owner || st->st_uid == 0)
                   && !(st->st_mode & (S_IWGRP | S_IWOTH))
               ? APIKEY_TABLE_OK
               : APIKEY_TABLE_UNSAFE;
}


apikey_table_error_t
apikey_valid_file(const struct stat *st, uid_t owner, uint64_t size)
{
    if (!S_ISREG(st->st_mode)) {
        return APIKEY_TABLE_FOREIGN;
    }

    if (apikey_valid_rights(st, owner) != APIKEY_TABLE_OK) {
        return APIKEY_TABLE_UNSAFE;
    }

    if ((uint64_t) st->st_size < size) {
        return APIKEY_TABLE_DAMAGED;
    }

    return APIKEY_TABLE_OK;
}


apikey_table_error_t
apikey_valid_control(const apikey_control_t *page,
                     const uint8_t           boot[static APIKEY_BOOT_ID_LEN],
                     uint64_t                inode)
{
    if (page->magic == 0) {
        return APIKEY_TABLE_DAMAGED;
    }

    if (page->magic != APIKEY_CONTROL_MAGIC
        || page->endian != APIKEY_ENDIAN_TAG
        || page->layout != APIKEY_TABLE_LAYOUT
        || page->size != APIKEY_CONTROL_SIZE)
    {
        return APIKEY_TABLE_FOREIGN;
    }

    if (page->check != apikey_check(page, offsetof(apikey_control_t, check))) {
        return APIKEY_TABLE_DAMAGED;
    }

    if (memcmp(page->boot_id, boot, APIKEY_BOOT_ID_LEN) != 0) {
        return APIKEY_TABLE_OTHER_BOOT;
    }

    if (page->inode != inode) {
        return APIKEY_TABLE_COPY;
    }

    return APIKEY_TABLE_OK;
}


apikey_table_error_t
apikey_valid_generation(const apikey_generation_t *head, uint64_t generation,
                        uint64_t file_size, uint64_t inode)
{
    if (head->magic == 0) {
        return APIKEY_TABLE_DAMAGED;
    }

    if (head->magic != APIKEY_GENERATION_MAGIC
        || head->endian != APIKEY_ENDIAN_TAG
        || head->layout != APIKEY_TABLE_LAYOUT
        || head->slot_size != APIKEY_SLOT_SIZE)
    {
        return APIKEY_TABLE_FOREIGN;
    }

    if (head->check != apikey_check(head, offsetof(apikey_generation_t, check))
        || head->generation != generation || head->size > file_size
        || head->slots == 0 || head->slots > APIKEY_SLOTS_MAX
        || head->records % 8 != 0 || head->size < APIKEY_GENERATION_HEAD
        || head->records > head->size
        || head->size - head->records
               != APIKEY_GENERATION_HEAD + head->slots * APIKEY_SLOT_SIZE)
    {
        return APIKEY_TABLE_DAMAGED;
    }

    if (head->inode != inode) {
        return APIKEY_TABLE_COPY;
    }

    return APIKEY_TABLE_OK;
}


int
apikey_valid_record(const apikey_table_record_t *record, uint64_t size,
                    uint64_t digest0)
{
    size_t texts;

    if (record->size != size || record->digest != digest0) {
        return 0;
    }

    texts = (size_t) record->id_len + record->member_len + record->tenant_len
            + record->name_len + record->scopes_len;

    if (sizeof(apikey_table_record_t) + texts > size) {
        return 0;
    }

    return record->check
           == apikey_check((const unsigned char *) record
                               + sizeof(record->check),
                           size - sizeof(record->check));
}


uint64_t
apikey_record_claim(const unsigned char *records, uint64_t records_size,
                    uint64_t offset)
{
    uint16_t size;

    if (offset > records_size
        || records_size - offset < sizeof(apikey_table_record_t))
    {
        return 0;
    }

    memcpy(&size, records + offset + offsetof(apikey_table_record_t, size),
           sizeof(size));

    if (size < sizeof(apikey_table_record_t) || size % 8 != 0
        || size > APIKEY_RECORD_SIZE_MAX || size > records_size - offset)
    {
        return 0;
    }

    return size;
}
