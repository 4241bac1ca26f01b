//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// isolate shuts the process in: limits first, then no new privileges, then Landlock without
// any rule, then a seccomp filter that allows what the Go runtime needs for computing and
// for the two pipes. Everything holds for all threads, present and future.
func isolate(memory uint64) isolationReport {
	report := isolationReport{Notes: []string{}}
	report.Rlimits = report.note("rlimits", limitResources(memory))
	report.NoNewPrivs = report.note("no_new_privs", allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1))
	if !report.NoNewPrivs {
		return report
	}
	report.Landlock = report.note("landlock", restrictLandlock())
	report.Seccomp = report.note("seccomp", installSeccomp())
	return report
}

func allThreads(trap, a1, a2 uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// limitResources bounds private writable memory (RLIMIT_AS is of no use for Go, which reserves
// far more addresses than it uses), files and core dumps. RLIMIT_NPROC counts the whole user,
// so processes are left to seccomp, which allows threads only.
func limitResources(memory uint64) error {
	limits := map[int]uint64{
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_FSIZE:  0,
		unix.RLIMIT_DATA:   memory,
		unix.RLIMIT_NOFILE: 16,
	}
	for resource, value := range limits {
		// Not unix.Setrlimit: the Go runtime would restore the number of files for children.
		if err := unix.Prlimit(0, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Rights per Landlock version that the running kernel can be asked to take away.
var landlockFS = []uint64{1<<13 - 1, 1 << 13, 1 << 14, 0, 1 << 15}

type landlockRuleset struct {
	handledAccessFS  uint64
	handledAccessNet uint64
	scoped           uint64
}

// restrictLandlock takes away every right the kernel knows and grants none back.
func restrictLandlock() error {
	version, _, errno := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1)
	if errno != 0 {
		return errors.New("not offered by this kernel")
	}
	var ruleset landlockRuleset
	for i, rights := range landlockFS {
		if i < int(version) {
			ruleset.handledAccessFS |= rights
		}
	}
	size := unsafe.Sizeof(ruleset.handledAccessFS)
	if version >= 4 {
		ruleset.handledAccessNet = 1<<2 - 1
		size += unsafe.Sizeof(ruleset.handledAccessNet)
	}
	if version >= 6 {
		ruleset.scoped = 1<<2 - 1
		size += unsafe.Sizeof(ruleset.scoped)
	}
	fd, _, errno := syscall.Syscall(
		unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&ruleset)), size, 0)
	runtime.KeepAlive(&ruleset)
	if errno != 0 {
		return errno
	}
	defer func() { _ = unix.Close(int(fd)) }()
	return allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0)
}
