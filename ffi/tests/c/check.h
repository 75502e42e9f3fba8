/* What the test programs share: each checks the status and the message of every call, and says on standard error what was otherwise. */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"

static int checks, failures;

static void check(int line, clip_status expected, clip_status found, const char *part)
{
    checks++;
    if (found == expected && (found == CLIP_OK || strstr(clip_last_error(), part) != NULL))
        return;
    failures++;
    fprintf(stderr, "line %d: %s, expected %s with \"%s\": %s\n", line, clip_status_name(found),
            clip_status_name(expected), part, clip_last_error());
}

static void check_true(int line, int holds, const char *what)
{
    checks++;
    if (holds)
        return;
    failures++;
    fprintf(stderr, "line %d: not so: %s\n", line, what);
}

#define FAILS(status, part, call) check(__LINE__, status, call, part)
#define WORKS(call) check(__LINE__, CLIP_OK, call, "")
#define TRUE(condition) check_true(__LINE__, condition, #condition)
/* A handle must be NULL after a call that failed, whatever it was before. */
#define MAKES_NONE(out, status, part, call) \
    do { \
        out = (void *)&checks; \
        FAILS(status, part, call); \
        TRUE(out == NULL); \
    } while (0)

/* Not UTF-8 from its byte 3 on. */
static const char latin1[] = "caf\xe9";

#endif
