// SPDX-License-Identifier: MIT
// Threads other than the vCPU's that access guest RAM: what the guest races with there is the guest's own business.
//
// A guest may aim several of its requests at one buffer, or look at it while they run, as with a real machine's DMA.
// ThreadSanitizer is told not to look at such accesses, libc's and system calls' included.
#pragma once

#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line); // libtsan's
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#define GUEST_RACE_BEGIN() (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define GUEST_RACE_END() (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#else
#define GUEST_RACE_BEGIN() ((void)0)
#define GUEST_RACE_END() ((void)0)
#endif
