// SPDX-License-Identifier: MIT
// The seccomp filter: what a machine in operation calls, and EPERM for the rest.
#include "frontends/sandbox.h"

#include <errno.h>

#if RING3_HAVE_SECCOMP
#include "base/types.h"

#include <seccomp.h>
#include <sys/mman.h>

// What libc, GLib, libslirp, the block back end and the accelerator call after set-up.
static const int allowed[] = {
#define S(name) SCMP_SYS(name)
    // memory
    S(mmap), S(munmap), S(mremap), S(mprotect), S(madvise), S(brk), S(msync), S(mlock), S(munlock),
    // threads and signals
    S(futex), S(clone), S(clone3), S(exit), S(exit_group), S(rt_sigaction), S(rt_sigprocmask), S(rt_sigreturn),
    S(sigaltstack), S(tgkill), S(gettid), S(getpid), S(set_robust_list), S(rseq), S(sched_yield), S(sched_getaffinity),
    S(restart_syscall), S(membarrier), S(prctl), S(arch_prctl), S(rt_sigtimedwait), S(madvise),
    // files that are open
    S(read), S(write), S(readv), S(writev), S(pread64), S(pwrite64), S(preadv), S(pwritev), S(preadv2), S(pwritev2), S(lseek),
    S(fsync), S(fdatasync), S(fallocate), S(fstat), S(newfstatat), S(close), S(fcntl), S(ioctl), S(dup), S(ftruncate),
    S(statx), S(unlink), S(unlinkat), S(io_uring_enter), S(io_uring_register), S(sync_file_range),
    // events and time
    S(poll), S(ppoll), S(pselect6), S(select), S(epoll_wait), S(epoll_pwait), S(epoll_ctl), S(eventfd2), S(timerfd_settime),
    S(timerfd_gettime), S(clock_gettime), S(clock_nanosleep), S(nanosleep), S(gettimeofday), S(time), S(getrandom), S(pipe2),
    // the user network and character sockets
    S(socket), S(connect), S(bind), S(listen), S(accept), S(accept4), S(getsockname), S(getpeername), S(setsockopt),
    S(getsockopt), S(sendto), S(recvfrom), S(sendmsg), S(recvmsg), S(sendmmsg), S(recvmmsg), S(shutdown), S(socketpair),
    // libslirp reads resolv.conf and serves tftp= files; opening for writing is refused below
    S(stat), S(lstat), S(access), S(uname), S(getuid), S(geteuid), S(getgid), S(getegid), S(getrusage), S(sysinfo),
#undef S
};

int sandbox_enter(void)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int ret = ctx ? 0 : -ENOMEM;

    if (!ret)
        ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    for (unsigned i = 0; !ret && i < ARRAY_SIZE(allowed); i++)
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    // Read-only opens: O_WRONLY, O_RDWR, O_CREAT, O_TRUNC and O_TMPFILE's own bit all clear.
    if (!ret)
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 020001103, 0));
    if (!ret)
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, 020001103, 0));
    if (!ret)
        ret = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return ret;
}
#else
int sandbox_enter(void) { return -ENOSYS; }
#endif
