/* Lets every flush take longer, as a real disk's does: preloaded into the database server and into the bench.
 * Compiled by the bench with -DDELAY_MICROS=…; the wait comes after the flush, so that nothing is less durable. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/prctl.h>
#include <time.h>

static void wait_as_a_disk_does(void) {
    int kept = errno;
    struct timespec left = {DELAY_MICROS / 1000000, (DELAY_MICROS % 1000000) * 1000L};
    /* Otherwise the timer adds up to 50 microseconds of its own. */
    prctl(PR_SET_TIMERSLACK, 1UL);
    while (nanosleep(&left, &left) == -1 && errno == EINTR) {
    }
    errno = kept;
}

int fsync(int file) {
    static int (*next)(int);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    int result = next(file);
    wait_as_a_disk_does();
    return result;
}

int fdatasync(int file) {
    static int (*next)(int);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
    int result = next(file);
    wait_as_a_disk_does();
    return result;
}
