package main

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// archCalls are calls of the Go runtime that exist on this architecture only.
var archCalls []uint32
