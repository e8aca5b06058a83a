/*
 * A directory for a program's files, below TMPDIR or /tmp. Who includes this asks for mkdtemp first: _POSIX_C_SOURCE.
 */
#ifndef DIRECTORY_H
#define DIRECTORY_H

#include "check.h"

static char directory[4096];

static inline void make_directory(void) {
    const char *temporary = getenv("TMPDIR");
    int length = snprintf(directory, sizeof directory, "%s/iotda-XXXXXX",
                          temporary != NULL ? temporary : "/tmp");
    CHECK(length > 0 && (size_t)length < sizeof directory);
    CHECK(mkdtemp(directory) != NULL);
}

static inline void remove_directory(void) {
    char command[sizeof directory + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    CHECK(system(command) == 0);
}

#endif
