//go:build !linux || !(amd64 || arm64)

package main

// isolate has nothing to offer here: the daemon decides whether it goes on without.
func isolate(uint64) isolationReport {
	return isolationReport{Notes: []string{"this platform offers no Landlock and no seccomp"}}
}
