// SPDX-License-Identifier: MIT
// The seccomp filter: what a machine in operation calls, and EPERM for the rest.
//
// What it takes from a guest that broke out into the process: starting programs, opening files for writing,
// signalling other processes, making memory writable and executable at once, sockets it was not given.
#include "frontends/sandbox.h"

#include <errno.h>

#if RING3_HAVE_SECCOMP
#include "base/types.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define S(name) SCMP_SYS(name)
// What libc, GLib, the block back end and the accelerator call after set-up, with any arguments.
// clang-format off
static const int always[] = {
    // memory
    S(munmap), S(mremap), S(madvise), S(brk), S(msync),
    // threads and signals
    S(futex), S(clone), S(clone3), S(exit), S(exit_group), S(rt_sigaction), S(rt_sigprocmask),
    S(rt_sigreturn), S(sigaltstack), S(gettid), S(getpid), S(set_robust_list), S(rseq), S(sched_yield),
    S(sched_getaffinity), S(restart_syscall), S(membarrier), S(rt_sigtimedwait),
    // files that are open
    S(read), S(write), S(readv), S(writev), S(pread64), S(pwrite64), S(preadv), S(pwritev), S(preadv2),
    S(pwritev2), S(lseek), S(fsync), S(fdatasync), S(fallocate), S(fstat), S(newfstatat), S(close),
    S(fcntl), S(dup), S(statx), S(io_uring_enter), S(io_uring_register), S(sync_file_range),
    // events and time
    S(poll), S(ppoll), S(pselect6), S(select), S(epoll_wait), S(epoll_pwait), S(epoll_ctl), S(eventfd2),
    S(timerfd_settime), S(timer_delete), S(timerfd_gettime), S(clock_gettime), S(clock_nanosleep), S(nanosleep),
    S(gettimeofday), S(time), S(getrandom), S(pipe2),
    // sockets that are open, and peers of listening ones
    S(accept), S(accept4), S(sendto), S(recvfrom), S(sendmsg), S(recvmsg), S(shutdown), S(getsockopt),
    S(setsockopt),
};
// clang-format on
static const int network[] = {
    S(connect),  S(bind), S(listen), S(getsockname), S(getpeername), S(sendmmsg),
    S(recvmmsg), S(stat), S(uname),  S(getuid),      S(geteuid),
};
static const int files[] = {S(openat), S(rename), S(unlink), S(fchmod), S(umask)};
// The window system's client libraries: shared memory for pictures, the name at the other end of the socket, and what the
// C library and the graphics driver ask about the host. The connection itself is open by then.
static const int window[] = {
    S(shmget),      S(shmat),       S(shmdt),     S(shmctl),     S(memfd_create), S(ftruncate),
    S(getsockname), S(getpeername), S(uname),     S(getuid),     S(geteuid),      S(getgid),
    S(getegid),     S(access),      S(faccessat), S(faccessat2), S(stat),         S(readlink),
    S(readlinkat),  S(getdents64),  S(sysinfo),   S(eventfd),    S(pipe),         S(sched_setaffinity),
};
static const int unlinking[] = {S(unlink), S(unlinkat)};
#undef S

static int allow(scmp_filter_ctx ctx, const int *calls, unsigned count)
{
    int ret = 0;

    for (unsigned i = 0; !ret && i < count; i++)
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    return ret;
}

// A call with one argument that, under mask, must equal one of the values.
static int allow_if(scmp_filter_ctx ctx, int call, unsigned arg, uint64_t mask, const uint64_t *values, unsigned count)
{
    int ret = 0;

    for (unsigned i = 0; !ret && i < count; i++)
        ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask, values[i]));
    return ret;
}

static int add_rules(scmp_filter_ctx ctx, const struct sandbox_needs *needs)
{
    static const uint64_t not_both[] = {0, PROT_WRITE, PROT_EXEC}, zero[] = {0}, families[] = {AF_INET, AF_INET6};
    static const uint64_t ioctls[] = {TCGETS,  TCSETS,     TCSETSW,    TCSETSF,    FIONREAD,
                                      FIONBIO, TIOCGWINSZ, BLKDISCARD, BLKZEROOUT, BLKGETSIZE64};
    static const uint64_t gl_ioctls[] = {'d' << 8, 'F' << 8}, sound_ioctls[] = {'A' << 8};
    static const uint64_t names[] = {PR_SET_NAME, PR_GET_NAME};
    const uint64_t self[] = {(uint64_t)getpid()}, all = ~0ull, ints = 0xffffffff;
    int ret;

    if ((ret = allow(ctx, always, ARRAY_SIZE(always))) ||
        (ret = allow_if(ctx, SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, not_both, 3)) ||
        (ret = allow_if(ctx, SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, not_both, 3)) ||
        (ret = allow_if(ctx, SCMP_SYS(tgkill), 0, ints, self, 1)) ||
        (ret = allow_if(ctx, SCMP_SYS(prctl), 0, ints, names, ARRAY_SIZE(names))) ||
        (ret = allow_if(ctx, SCMP_SYS(ioctl), 1, ints, ioctls, ARRAY_SIZE(ioctls))) ||
        (ret = allow_if(ctx, SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY), zero,
                        1)) ||
        (needs->unlink && (ret = allow(ctx, unlinking, ARRAY_SIZE(unlinking)))))
        return ret;
    if (needs->files && (ret = allow(ctx, files, ARRAY_SIZE(files))))
        return ret;
    if (needs->window && (ret = allow(ctx, window, ARRAY_SIZE(window))))
        return ret;
    // ALSA's requests are of type 'A'; a sound server is reached through sockets that are open.
    if (needs->sound && ((ret = allow_if(ctx, SCMP_SYS(ioctl), 1, 0xff00, sound_ioctls, 1)) ||
                         (ret = allow(ctx, window, ARRAY_SIZE(window)))))
        return ret;
    // The drivers' own requests: DRM's are of type 'd', NVIDIA's of type 'F'.
    if (needs->gl && (ret = allow_if(ctx, SCMP_SYS(ioctl), 1, 0xff00, gl_ioctls, ARRAY_SIZE(gl_ioctls))))
        return ret;
    if (!needs->network)
        return 0;
    if ((ret = allow(ctx, network, ARRAY_SIZE(network))))
        return ret;
    return allow_if(ctx, SCMP_SYS(socket), 0, all, families, ARRAY_SIZE(families));
}

int sandbox_enter(const struct sandbox_needs *needs)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int ret = ctx ? seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;

    // No Speculative Store Bypass mitigation (it would slow down every load after a store); a binary tree.
    if (!ret)
        ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
    if (!ret)
        ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!ret)
        ret = add_rules(ctx, needs);
    if (!ret)
        ret = seccomp_load(ctx);
    if (ctx)
        seccomp_release(ctx);
    return ret;
}
#else
int sandbox_enter(const struct sandbox_needs *needs) { return -ENOSYS; }
#endif
