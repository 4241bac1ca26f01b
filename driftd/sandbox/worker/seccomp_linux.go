//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowedCalls is all that the Go runtime and reading and writing open pipes need. Everything
// else (open, socket, connect, execve, ptrace, io_uring, bpf, …) is answered with EPERM.
var allowedCalls = append([]uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE,
	unix.SYS_FUTEX, unix.SYS_MADVISE, unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT,
	unix.SYS_MINCORE, unix.SYS_BRK, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST,
	unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETRANDOM,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
	unix.SYS_FCNTL,
}, archCalls...)

// Offsets into struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
)

func statement(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no}
}

// seccompProgram is the filter. A new thread is a clone with CLONE_THREAD (a new process is
// refused), and signals go to this process only.
func seccompProgram(pid uint32) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		bitSet = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	allow := statement(answer, unix.SECCOMP_RET_ALLOW)
	deny := statement(answer, unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	program := []unix.SockFilter{
		statement(load, offsetArch),
		jump(equal, auditArch, 1, 0),
		statement(answer, unix.SECCOMP_RET_KILL_PROCESS),
		statement(load, offsetNumber),
		jump(equal, unix.SYS_CLONE, 0, 4),
		statement(load, offsetArg0),
		jump(bitSet, unix.CLONE_THREAD, 0, 1),
		allow,
		deny,
		jump(equal, unix.SYS_TGKILL, 0, 4),
		statement(load, offsetArg0),
		jump(equal, pid, 0, 1),
		allow,
		deny,
	}
	for _, number := range allowedCalls {
		program = append(program, jump(equal, number, 0, 1), allow)
	}
	return append(program, deny)
}

func installSeccomp() error {
	program := seccompProgram(uint32(os.Getpid()))
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(
		unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&filter)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	return nil
}
