// Loaded before libc when petalsfs runs under valgrind, for scripts/callgrind.
//
// The main thread of a Swift program ends in libdispatch's sigsuspend, whose mask is in read-only
// memory. Valgrind 3.19 writes into that mask, so that it crashes; a copy is writable.

#define _GNU_SOURCE
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int sigsuspend(const sigset_t *mask) {
    sigset_t copy = *mask;
    // The kernel's set of signals has 8 bytes, libc's has more.
    return (int)syscall(SYS_rt_sigsuspend, &copy, 8);
}
